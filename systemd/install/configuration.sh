# shellcheck shell=bash
# A part of install.sh. /etc/weir/config.toml, written once.

configuration() {
  step "configuration in $ETC"
  if [ -e $ETC/config.toml ]; then say "     $ETC/config.toml is there and stays as it is"; return 0; fi
  changes "write $ETC/config.toml" || return 0
  local https http
  https=$(free_port "${answer[https]}" 8443)
  http=$(free_port "${answer[http]}" 8080)
  {
    sed -e "s/@PLACER@/${answer[placer]}/; s/@HTTPS@/$https/; s/@HTTP@/$http/" \
      -e "s/@INSTANCE@/$(escaped "${answer[instance]}")/; s/@TEAM@/$(escaped "${answer[team]}")/" "$(source_dir)/systemd/config.toml"
    [ -z "${answer[admin_password_file]}" ] || printf '\n[login]\nadmin_password_file = "%s"\n' "$ETC/first-password"
    if [ -n "${answer[names]}${answer[domain]}" ]; then
      printf '\n[ingress]\n'
      [ -z "${answer[names]}" ] || printf 'names = ["%s"]\n' "${answer[names]//,/\", \"}"
      [ -z "${answer[domain]}" ] || printf 'mode = "host"\ndomain = "%s"\n' "${answer[domain]}"
    fi
  } >$ETC/.config.toml.new
  if [ -n "${answer[admin_password_file]}" ]; then
    install -o root -g _weir -m 0640 "${answer[admin_password_file]}" $ETC/first-password
  fi
  chown root:_weir $ETC/.config.toml.new && chmod 0640 $ETC/.config.toml.new
  sync $ETC/.config.toml.new && mv $ETC/.config.toml.new $ETC/config.toml
  [ "$https" = "${answer[https]}" ] || say "     port ${answer[https]} is taken: the platform is at port $https"
  done_now "wrote $ETC/config.toml"
}

escaped() { printf %s "$1" | sed 's/[&/]/\\&/g'; }

free_port() { # WANTED OTHERWISE: the first free one
  local port=$1
  while [ -n "$(ss -Hltn "sport = :$port" 2>/dev/null)" ]; do
    if [ "$port" = "$1" ]; then port=$2; else port=$((port + 1)); fi
  done
  echo "$port"
}
