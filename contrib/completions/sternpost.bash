# Completion of sternpost(1) for bash, written by contrib/man out of --help; do not edit.
# shellcheck shell=bash disable=SC2034

_sternpost_command() {  # COMMAND: sets what may follow it
  case $1 in
    '')
      commands='serve config check own report policy audit doctor snippet' many=''
      options='-h --help --version'
      valued='' ;;
    'serve')
      commands='' many=''
      options='-h --help -c --config'
      valued='-c --config' ;;
    'config')
      commands='check defaults' many=''
      options='-h --help'
      valued='' ;;
    'config check')
      commands='' many=''
      options='-h --help -c --config'
      valued='-c --config' ;;
    'config defaults')
      commands='' many=''
      options='-h --help -c --config'
      valued='-c --config' ;;
    'check')
      commands='' many=''
      options='-h --help -c --config --no-connect --resolver --at --limit --json'
      valued='-c --config --resolver --at --limit' ;;
    'own')
      commands='' many=''
      options='-h --help -c --config --expire-within --limit --json'
      valued='-c --config --expire-within --limit' ;;
    'report')
      commands='list show send read' many=''
      options='-h --help'
      valued='' ;;
    'report list')
      commands='' many=''
      options='-h --help -c --config --date --domain --json'
      valued='-c --config --date --domain' ;;
    'report show')
      commands='' many=''
      options='-h --help -c --config --date --domain --json'
      valued='-c --config --date --domain' ;;
    'report send')
      commands='' many=''
      options='-h --help -c --config --date --domain --json --dry-run'
      valued='-c --config --date --domain' ;;
    'report read')
      commands='' many='1'
      options='-h --help -c --config --json --html'
      valued='-c --config' ;;
    'policy')
      commands='list show refresh purge lint generate' many=''
      options='-h --help'
      valued='' ;;
    'policy list')
      commands='' many=''
      options='-h --help -c --config --json'
      valued='-c --config' ;;
    'policy show')
      commands='' many=''
      options='-h --help -c --config --json'
      valued='-c --config' ;;
    'policy refresh')
      commands='' many=''
      options='-h --help -c --config --json'
      valued='-c --config' ;;
    'policy purge')
      commands='' many=''
      options='-h --help -c --config --json --reason'
      valued='-c --config --reason' ;;
    'policy lint')
      commands='' many=''
      options='-h --help -c --config --json'
      valued='-c --config' ;;
    'policy generate')
      commands='' many=''
      options='-h --help -c --config --mx --mode --max-age --id --rua --tlsa --next --ttl --json --policy'
      valued='-c --config --mx --mode --max-age --id --rua --tlsa --next --ttl' ;;
    'audit')
      commands='query verify' many=''
      options='-h --help'
      valued='' ;;
    'audit query')
      commands='' many='1'
      options='-h --help -c --config --since --until --domain --event --verdict --protection --result --id --queue-id --json --csv'
      valued='-c --config --since --until --domain --event --verdict --protection --result --id --queue-id' ;;
    'audit verify')
      commands='' many='1'
      options='-h --help -c --config --head --json'
      valued='-c --config --head' ;;
    'doctor')
      commands='' many=''
      options='-h --help -c --config --signed --bogus --unsigned --partner --user --json'
      valued='-c --config --signed --bogus --unsigned --partner --user' ;;
    'snippet')
      commands='' many=''
      options='-h --help -c --config --via --version --listen --json'
      valued='-c --config --via --version --listen' ;;
    *) commands='' many='' options='' valued='' ;;
  esac
}

_sternpost_value() {  # COMMAND OPTION: sets what the value may be
  case $1:$2 in
    'serve:-c') kind='file' ;;
    'serve:--config') kind='file' ;;
    'config check:-c') kind='file' ;;
    'config check:--config') kind='file' ;;
    'config defaults:-c') kind='file' ;;
    'config defaults:--config') kind='file' ;;
    'check:-c') kind='file' ;;
    'check:--config') kind='file' ;;
    'own:-c') kind='file' ;;
    'own:--config') kind='file' ;;
    'report list:-c') kind='file' ;;
    'report list:--config') kind='file' ;;
    'report show:-c') kind='file' ;;
    'report show:--config') kind='file' ;;
    'report send:-c') kind='file' ;;
    'report send:--config') kind='file' ;;
    'report read:-c') kind='file' ;;
    'report read:--config') kind='file' ;;
    'report read:') kind='file' ;;
    'policy list:-c') kind='file' ;;
    'policy list:--config') kind='file' ;;
    'policy show:-c') kind='file' ;;
    'policy show:--config') kind='file' ;;
    'policy refresh:-c') kind='file' ;;
    'policy refresh:--config') kind='file' ;;
    'policy purge:-c') kind='file' ;;
    'policy purge:--config') kind='file' ;;
    'policy lint:-c') kind='file' ;;
    'policy lint:--config') kind='file' ;;
    'policy lint:') kind='file' ;;
    'policy generate:-c') kind='file' ;;
    'policy generate:--config') kind='file' ;;
    'policy generate:--mode') kind='testing enforce none' ;;
    'policy generate:--max-age') kind='14d 1d seconds' ;;
    'policy generate:--tlsa') kind='file' ;;
    'policy generate:--next') kind='file' ;;
    'audit query:-c') kind='file' ;;
    'audit query:--config') kind='file' ;;
    'audit query:--protection') kind='authenticated encrypted cleartext' ;;
    'audit query:') kind='file' ;;
    'audit verify:-c') kind='file' ;;
    'audit verify:--config') kind='file' ;;
    'audit verify:') kind='file' ;;
    'doctor:-c') kind='file' ;;
    'doctor:--config') kind='file' ;;
    'snippet:-c') kind='file' ;;
    'snippet:--config') kind='file' ;;
    'snippet:--via') kind='lmtp smtp map milter transparent' ;;
    'snippet:') kind='postfix sendmail exim opensmtpd' ;;
    *) kind='' ;;
  esac
}
_sternpost() {
  local cur=${COMP_WORDS[COMP_CWORD]} path='' option='' placed=0 i word
  local commands options valued many kind
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    _sternpost_command "$path"
    if [[ $word == '=' ]]; then continue            # --option=value comes in three words
    elif [[ -n $option ]]; then option=''
    elif [[ " $valued " == *" $word "* ]]; then option=$word
    elif [[ $word == -* ]]; then continue
    elif [[ " $commands " == *" $word "* ]]; then path+=${path:+ }$word
    else placed=$((placed + 1))
    fi
  done
  _sternpost_command "$path"
  [[ $cur == '=' ]] && cur=''
  if [[ -z $option && $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    return
  elif [[ -z $option && -n $commands ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    return
  elif [[ -z $option && $placed -gt 0 && -z $many ]]; then
    return
  fi
  _sternpost_value "$path" "$option"
  if [[ $kind == file ]]; then
    compopt -o filenames -o default 2>/dev/null     # default: also ~
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  elif [[ -n $kind ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$cur")
  fi
}
complete -F _sternpost sternpost
