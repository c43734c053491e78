# Completion of sternpost(1) for fish, written by contrib/man out of --help; do not edit.

set -g __sternpost_commands 'serve' 'config' 'config check' 'config defaults' 'check' 'own' 'report' 'report list' 'report show' 'report send' 'report read' 'snippet'
set -g __sternpost_valued 'serve:-c' 'serve:--config' 'config check:-c' 'config check:--config' 'config defaults:-c' 'config defaults:--config' 'check:-c' 'check:--config' 'check:--resolver' 'check:--at' 'check:--limit' 'own:-c' 'own:--config' 'own:--expire-within' 'own:--limit' 'report list:-c' 'report list:--config' 'report list:--date' 'report list:--domain' 'report show:-c' 'report show:--config' 'report show:--date' 'report show:--domain' 'report send:-c' 'report send:--config' 'report send:--date' 'report send:--domain' 'report read:-c' 'report read:--config' 'snippet:-c' 'snippet:--config' 'snippet:--via' 'snippet:--version' 'snippet:--listen'
function __sternpost_at --description 'Whether the words typed so far are this command'
    set -l path ''
    set -l value 0
    for word in (commandline -opc)[2..]
        if test $value = 1
            set value 0
        else if contains -- "$path:$word" $__sternpost_valued
            set value 1
        else if contains -- (string trim -- "$path $word") $__sternpost_commands
            set path (string trim -- "$path $word")
        end
    end
    test "$path" = "$argv"
end

complete -c sternpost -f
complete -c sternpost -n '__sternpost_at' -a serve -d 'Run every listener of the configuration in the foreground'
complete -c sternpost -n '__sternpost_at' -a config -d 'Judge or print the configuration'
complete -c sternpost -n '__sternpost_at' -a check -d 'What would happen to mail for a domain now, and why; sends no mail'
complete -c sternpost -n '__sternpost_at' -a own -d 'Your own domain as senders of mail to it see it; sends no mail'
complete -c sternpost -n '__sternpost_at' -a report -d 'TLS reports (RFC 8460)'
complete -c sternpost -n '__sternpost_at' -a snippet -d 'Print the lines that attach an MTA'
complete -c sternpost -n '__sternpost_at' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at' -l version -d 'Display program version information and exit'
complete -c sternpost -n '__sternpost_at serve' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at serve' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at config' -a check -d 'Read the configuration as serve does and tell every mistake'
complete -c sternpost -n '__sternpost_at config' -a defaults -d 'Print every key with its default and a comment, as TOML'
complete -c sternpost -n '__sternpost_at config' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at config check' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at config check' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at config defaults' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at config defaults' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at check' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at check' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at check' -l no-connect -d 'Ask DNS and policy host alone, no MX host'
complete -c sternpost -n '__sternpost_at check' -l resolver -x -d 'Ask this resolver instead; several are compared, the first one\'s answers count'
complete -c sternpost -n '__sternpost_at check' -l at -x -d 'Judge certificates and caches as of then (RFC 3339)'
complete -c sternpost -n '__sternpost_at check' -l limit -x -d 'End after that time (default 2m)'
complete -c sternpost -n '__sternpost_at check' -l json -d 'Print JSON'
complete -c sternpost -n '__sternpost_at own' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at own' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at own' -l expire-within -x -d 'Warn of a certificate that ends within that time (default 14d)'
complete -c sternpost -n '__sternpost_at own' -l limit -x -d 'End after that time (default 2m)'
complete -c sternpost -n '__sternpost_at own' -l json -d 'Print JSON'
complete -c sternpost -n '__sternpost_at report' -a list -d 'The day\'s reports: counts, and who took them'
complete -c sternpost -n '__sternpost_at report' -a show -d 'What the day\'s reports say, the running day\'s too'
complete -c sternpost -n '__sternpost_at report' -a send -d 'Send the reports of a day that is over now, without waiting for their time'
complete -c sternpost -n '__sternpost_at report' -a read -d 'Sum up TLS reports that others sent about your own domain'
complete -c sternpost -n '__sternpost_at report' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at report list' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at report list' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at report list' -l date -x -d 'The UTC day, today where it is left out'
complete -c sternpost -n '__sternpost_at report list' -l domain -x -d 'This recipient domain alone'
complete -c sternpost -n '__sternpost_at report list' -l json -d 'Print JSON'
complete -c sternpost -n '__sternpost_at report show' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at report show' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at report show' -l date -x -d 'The UTC day, today where it is left out'
complete -c sternpost -n '__sternpost_at report show' -l domain -x -d 'This recipient domain alone'
complete -c sternpost -n '__sternpost_at report show' -l json -d 'Print JSON'
complete -c sternpost -n '__sternpost_at report send' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at report send' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at report send' -l date -x -d 'The UTC day, today where it is left out'
complete -c sternpost -n '__sternpost_at report send' -l domain -x -d 'This recipient domain alone'
complete -c sternpost -n '__sternpost_at report send' -l json -d 'Print JSON'
complete -c sternpost -n '__sternpost_at report send' -l dry-run -d 'Print what would be sent, and send nothing'
complete -c sternpost -n '__sternpost_at report read' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at report read' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG); nothing is read from it here, and it need not be there'
complete -c sternpost -n '__sternpost_at report read' -l json -d 'Print the sum as JSON'
complete -c sternpost -n '__sternpost_at report read' -l html -d 'Print the sum as one HTML page, to look at or print'
complete -c sternpost -n '__sternpost_at report read' -F -d 'JSON, gzip, a mail message, an mbox, a Maildir, a folder of reports, or - for standard input'
complete -c sternpost -n '__sternpost_at snippet' -s h -l help -d 'Print this help message and exit'
complete -c sternpost -n '__sternpost_at snippet' -s c -l config -r -F -d 'Configuration file (or STERNPOST_CONFIG)'
complete -c sternpost -n '__sternpost_at snippet' -l via -x -a 'lmtp smtp map milter transparent' -d 'lmtp (default; smtp for Exim), smtp, map, milter or transparent'
complete -c sternpost -n '__sternpost_at snippet' -l version -x -d 'The MTA\'s version, where not the one found here'
complete -c sternpost -n '__sternpost_at snippet' -l listen -x -d 'Where Sternpost listens, where not as in the configuration'
complete -c sternpost -n '__sternpost_at snippet' -l json -d 'Print JSON'
complete -c sternpost -n '__sternpost_at snippet' -a 'postfix sendmail exim opensmtpd' -d 'postfix, sendmail, exim or opensmtpd'
