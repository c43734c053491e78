# zsh -f capture.zsh FOLDER LINE DUMP: what zsh offers at the end of LINE with the completions of
# FOLDER, one a line; compinit keeps in DUMP what it found in fpath. A zsh with a terminal of its own
# gets LINE and a TAB; compadd is told to say what it is given.
zmodload zsh/zpty
zpty terminal zsh -f -i
zpty -w terminal "stty -echo; PS1=; PS2=; fpath=(${(q)1} \$fpath); dump=${(q)3}"
zpty -w terminal 'source =(cat <<"END"
autoload -Uz compinit && compinit -u -d $dump
setopt rc_quotes
bindkey "^I" complete-word
zstyle ":completion:*" list-grouped false
function compadd {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd "$@"
    return
  fi
  typeset -a hits
  builtin compadd -A hits "$@"
  local hit
  for hit in $hits; do print -r -- "offer:$hit:"; done
}
function offered { print "nothing else"; exit }
comppostfuncs=(offered)
print "be""gin:"
END
)'
until [[ $REPLY == *begin:* ]]; do zpty -r terminal REPLY || exit 1; done
zpty -n -w terminal "$2"$'\t'
while zpty -r terminal REPLY; do
  [[ $REPLY == *"nothing else"* ]] && break
  [[ $REPLY == *offer:* ]] && print -r -- "${${REPLY#*offer:}%:*}"
done
zpty -d terminal
