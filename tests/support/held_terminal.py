"""Runs a command on a terminal of 24 by 80 that takes no output between the appearance of two files.

Usage: held_terminal.py BEGIN END SECONDS COMMAND...
After END, keys are typed until the command ends. Prints, as JSON, whether END appeared within SECONDS, whether the command was still running then, and its exit code.
"""
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

begin, end, seconds, command = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
filler = os.open(os.ttyname(slave), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
os.close(slave)
while not os.path.exists(begin) and child.poll() is None:
    if select.select([master], [], [], 0.02)[0]:
        os.read(master, 65536)
# Fills the buffer of the terminal: from then on every write to it waits.
try:
    while True:
        os.write(filler, b"x")
except BlockingIOError:
    os.close(filler)
limit = time.monotonic() + seconds
while not os.path.exists(end) and time.monotonic() < limit and child.poll() is None:
    time.sleep(0.05)
appeared = os.path.exists(end)
held = child.poll() is None
typed = time.monotonic()
try:
    while True:
        if select.select([master], [], [], 0.1)[0] and not os.read(master, 65536):
            break
        # The screen waits for a key at its end.
        if time.monotonic() - typed > 0.3:
            typed = time.monotonic()
            os.write(master, b"x")
except OSError:
    pass
print(json.dumps({"appeared": appeared, "held": held, "code": child.wait()}))
