# shellcheck shell=bash
# A part of install.sh. What an unattended fleet is told, instead of being asked.

declare -A answer=([https]=443 [http]=80 [names]='' [domain]='' [instance]=first [team]=Home [admin_password_file]='' [placer]=units)

read_answers() {
  [ -n "$answers" ] || return 0
  [ -r "$answers" ] || die "cannot read the answers $answers"
  local line name value number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    case $line in '' | \#*) continue ;; esac
    name=${line%%=*}; value=${line#*=}
    [ "$name" != "$line" ] && [ -n "${answer[$name]+known}" ] ||
      die "$answers, line $number: '$name' is no answer that I know" "Known: ${!answer[*]}"
    case $value in *[\"\\]* | *[[:cntrl:]]*) die "$answers, line $number: quotes and backslashes are not taken" ;; esac
    answer[$name]=$value
  done <"$answers"
  for name in https http; do
    [[ ${answer[$name]} =~ ^[0-9]{1,5}$ ]] || die "$answers: $name=${answer[$name]} is not a port"
  done
}
