# Completion of diskcast for bash. What was typed is handed on as it stands and never evaluated.
_diskcast() {
  # Bash cuts words at "=" and ":" too; here they are put together again.
  local rest=${COMP_LINE:0:COMP_POINT} words=() count=0 word i apart
  for ((i = 0; i <= COMP_CWORD; i++)); do
    apart=${rest%%[![:space:]]*}
    rest=${rest#"$apart"}
    word=${COMP_WORDS[i]}
    ((i < COMP_CWORD)) || word=$rest
    rest=${rest#"$word"}
    if [[ $count -gt 0 && -z $apart && ($word == [=:]* || ${words[count - 1]} == *[=:]) ]]; then
      words[count - 1]+=$word
    else
      words[count]=$word
      ((count++))
    fi
  done
  # What stands before the part that bash is about to replace.
  local lead=${words[count - 1]%"$2"} value about directive=0
  COMPREPLY=()
  while IFS=$'\t' read -r value about; do
    if [[ $value == :* ]]; then directive=${value#:}; else COMPREPLY+=("${value#"$lead"}"); fi
  done < <(diskcast complete -- "${words[@]:1}" 2>/dev/null)
  if ((directive & 2)); then compopt -o nospace; fi
  if ((directive & 4)); then compopt +o default; fi
  if ((directive & 16)); then compopt +o default -o dirnames; fi
} 2>/dev/null

complete -o default -F _diskcast diskcast
