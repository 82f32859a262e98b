#compdef diskcast
# Completion of diskcast for zsh. What was typed is handed on as it stands and never evaluated.
_diskcast() {
  local line directive=0
  local -a values shown space
  for line in "${(@f)$(diskcast complete -- "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
    if [[ $line == :* ]]; then
      directive=${line#:}
    elif [[ -n $line ]]; then
      values+=("${line%%$'\t'*}")
      shown+=("${line/$'\t'/  }")
    fi
  done
  (( directive & 2 )) && space=(-S '')
  if (( $#values )); then
    compadd -Q -l "${space[@]}" -d shown -a values
  elif (( directive & 16 )); then
    [[ $PREFIX == -*=* ]] && compset -P 1 '*='
    _files -/
  elif (( ! (directive & 4) )); then
    [[ $PREFIX == -*=* ]] && compset -P 1 '*='
    _files
  fi
}

# As a file of $fpath it is called by its name, elsewhere it is sourced.
if [[ $funcstack[1] == _diskcast ]]; then _diskcast "$@"; else compdef _diskcast diskcast; fi
