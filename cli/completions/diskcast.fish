# Completion of diskcast for fish. What was typed is handed on as it stands and never evaluated.
function __diskcast_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines (diskcast complete -- $words[2..-1] "$word" 2>/dev/null)
    set -l directive (string replace -- : '' $lines[-1])
    if test (count $lines) -gt 1
        string join -- \n $lines[1..-2]
        return
    end
    # A name that is attached to its option, as in --backing=NAME.
    set -l lead (string match -r -- '^-[^=]*=' $word)
    set -l name (string sub -s (math 1 + (string length -- "$lead")) -- "$word")
    switch "$directive"
        case 0
            string replace -r -- '^' "$lead" (__fish_complete_path "$name")
        case 16
            string replace -r -- '^' "$lead" (__fish_complete_directories "$name" '')
    end
end

complete -c diskcast -e
complete -c diskcast -f -a '(__diskcast_complete)'
