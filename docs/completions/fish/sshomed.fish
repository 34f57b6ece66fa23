# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sshomed_global_optspecs
    string join \n dir= config= listen= h/help V/version
end

function __fish_sshomed_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sshomed_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_sshomed_using_subcommand
    set -l cmd (__fish_sshomed_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sshomed -n "__fish_sshomed_needs_command" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_needs_command" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_needs_command" -l listen -d 'Listen on this address instead of the configured ones; may be given several times' -r
complete -c sshomed -n "__fish_sshomed_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sshomed -n "__fish_sshomed_needs_command" -s V -l version -d 'Print version'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "serve" -d 'Serve until Ctrl-C or SIGTERM; the default command'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "user" -d 'Add, change and remove users'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "check" -d 'Check the configuration and show the effective settings'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "status" -d 'Show the running server\'s sessions, transfers, homes and penalties'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "kick" -d 'End a session of the running server, or all sessions of a user'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "quota" -d 'Manage the quotas of the running server'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "home" -d 'Manage the homes of the running server'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "penalties" -d 'List addresses with failed logins to the running server'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "forgive" -d 'Lift the penalty of an address'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "reload" -d 'Make the running server reload the configuration now, and show the result'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "setup" -d 'Set up a server on a new host: asks what the options do not answer'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "share" -d 'Share one folder, read-only, until Ctrl-C: with a user and a password for this run only'
complete -c sshomed -n "__fish_sshomed_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand serve" -l listen -d 'Listen on this address instead of the configured ones; may be given several times' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand serve" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand serve" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand serve" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "add" -d 'Add a user'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "remove" -d 'Remove a user; the home is kept'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "list" -d 'List all users'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "set" -d 'Change a user\'s settings; the value "default" removes a setting, so that the general defaults apply'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "disable" -d 'Disable a user and end their sessions; the home is not changed'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "enable" -d 'Enable a disabled user'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "passwd" -d 'Set a user\'s password'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "key" -d 'Add, list and remove a user\'s keys'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "quota" -d 'Set a user\'s quota'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and not __fish_seen_subcommand_from add remove list set disable enable passwd key quota help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from add" -l key -d 'A public key that may log in; may be given several times' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from add" -l quota -d 'How much the home may hold: "100 MiB", "700 MB", "unlimited"' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from add" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from add" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from add" -l password-stdin -d 'Read a password from standard input'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from remove" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from remove" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from list" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from list" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from list" -l json -d 'Print JSON, for programs'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l quota -d 'How much the home may hold: "100 MiB", "700 MB", "unlimited"' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l max-files -d 'How many files, folders and links the home may hold: a number, or "unlimited"' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l access -d '"read-write" or "read-only"' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l enabled -d '"true", or "false": nobody can log in as the user' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l own-keys -d 'Whether the user may install keys: "true" or "false"' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l sftp-uploads -d '"in-place", or "atomic": a file appears only when it is complete' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l upload-rate -d 'Upload rate of the user: "10 MiB/s", "unlimited"' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l download-rate -d 'Download rate of the user: "10 MiB/s", "unlimited"' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l expires -d 'The date from which the user cannot log in, such as 2027-01-01; sessions end' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l deletable -d 'What append-only and upload-only keys may remove, such as "locks/*"; may be given several times. "none" is nothing' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l temporary-names -d 'Names under which such keys may remove their own new files, such as "*.partial"; may be given several times' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l root -d 'The folder that is the home; it must exist. "default" is homes/NAME' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from disable" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from disable" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from enable" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from enable" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from passwd" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from passwd" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from passwd" -l password-stdin -d 'Read the password from standard input instead of prompting'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from passwd" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from key" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from key" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from key" -a "add" -d 'Add the keys of a public key file'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from key" -a "list" -d 'List the keys'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from key" -a "remove" -d 'Remove a key'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from key" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from quota" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from quota" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from quota" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a user'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a user; the home is kept'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all users'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change a user\'s settings; the value "default" removes a setting, so that the general defaults apply'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Disable a user and end their sessions; the home is not changed'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Enable a disabled user'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "passwd" -d 'Set a user\'s password'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "key" -d 'Add, list and remove a user\'s keys'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "quota" -d 'Set a user\'s quota'
complete -c sshomed -n "__fish_sshomed_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand check" -l listen -d 'Listen on this address instead of the configured ones; may be given several times' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand check" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand check" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand check" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand status" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand status" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand status" -l json -d 'Print JSON, for programs'
complete -c sshomed -n "__fish_sshomed_using_subcommand status" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand kick" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand kick" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand kick" -l lock -d 'Disable the user first, so that they cannot log in again'
complete -c sshomed -n "__fish_sshomed_using_subcommand kick" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and not __fish_seen_subcommand_from scan help" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and not __fish_seen_subcommand_from scan help" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and not __fish_seen_subcommand_from scan help" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and not __fish_seen_subcommand_from scan help" -f -a "scan" -d 'Scan homes, compare the usage with the accounting, and correct the accounting'
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and not __fish_seen_subcommand_from scan help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and __fish_seen_subcommand_from scan" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and __fish_seen_subcommand_from scan" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and __fish_seen_subcommand_from scan" -l json -d 'Print JSON, for programs'
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and __fish_seen_subcommand_from scan" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and __fish_seen_subcommand_from help" -f -a "scan" -d 'Scan homes, compare the usage with the accounting, and correct the accounting'
complete -c sshomed -n "__fish_sshomed_using_subcommand quota; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and not __fish_seen_subcommand_from reopen help" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and not __fish_seen_subcommand_from reopen help" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and not __fish_seen_subcommand_from reopen help" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and not __fish_seen_subcommand_from reopen help" -f -a "reopen" -d 'Reopen a home that is unavailable or was replaced while the server runs; ends its sessions'
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and not __fish_seen_subcommand_from reopen help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and __fish_seen_subcommand_from reopen" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and __fish_seen_subcommand_from reopen" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and __fish_seen_subcommand_from reopen" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and __fish_seen_subcommand_from help" -f -a "reopen" -d 'Reopen a home that is unavailable or was replaced while the server runs; ends its sessions'
complete -c sshomed -n "__fish_sshomed_using_subcommand home; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand penalties" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand penalties" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand penalties" -l json -d 'Print JSON, for programs'
complete -c sshomed -n "__fish_sshomed_using_subcommand penalties" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand forgive" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand forgive" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand forgive" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand reload" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand reload" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand reload" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l user -d 'The first user\'s name' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l key -d 'A public key that may log in as the first user; may be given several times' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l password-file -d 'The file with the first user\'s password' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l quota -d 'How much the first user\'s home may hold: "50 GiB" [default: unlimited]' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l service -d 'How the server is started' -r -f -a "systemd\t'By a systemd unit, now and at each boot: the user\'s own, or the system\'s as root'
background\t'Now, in the background; not at boot'
none\t'Not at all; the command is printed'"
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l account -d 'The system account of the server, which is created if it is missing; only as root [default: sshome]' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l listen -d 'Listen on this address instead of the configured ones; may be given several times' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l password-stdin -d 'Read the first user\'s password from standard input'
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -l yes -d 'Answer the other questions with their defaults'
complete -c sshomed -n "__fish_sshomed_using_subcommand setup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sshomed -n "__fish_sshomed_using_subcommand share" -l for -d 'End after this time: 30m, 2h, 1d' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand share" -l listen -d 'Listen on this address instead of the configured ones; may be given several times' -r
complete -c sshomed -n "__fish_sshomed_using_subcommand share" -l dir -d 'The folder to work in [default: the current one]' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand share" -l config -d 'The configuration, if it is not DIR/etc/users.toml' -r -F
complete -c sshomed -n "__fish_sshomed_using_subcommand share" -l write -d 'Let the user change the folder'
complete -c sshomed -n "__fish_sshomed_using_subcommand share" -s h -l help -d 'Print help'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "serve" -d 'Serve until Ctrl-C or SIGTERM; the default command'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "user" -d 'Add, change and remove users'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "check" -d 'Check the configuration and show the effective settings'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "status" -d 'Show the running server\'s sessions, transfers, homes and penalties'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "kick" -d 'End a session of the running server, or all sessions of a user'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "quota" -d 'Manage the quotas of the running server'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "home" -d 'Manage the homes of the running server'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "penalties" -d 'List addresses with failed logins to the running server'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "forgive" -d 'Lift the penalty of an address'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "reload" -d 'Make the running server reload the configuration now, and show the result'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "setup" -d 'Set up a server on a new host: asks what the options do not answer'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "share" -d 'Share one folder, read-only, until Ctrl-C: with a user and a password for this run only'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and not __fish_seen_subcommand_from serve user check status kick quota home penalties forgive reload setup share help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "add" -d 'Add a user'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "remove" -d 'Remove a user; the home is kept'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "list" -d 'List all users'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "set" -d 'Change a user\'s settings; the value "default" removes a setting, so that the general defaults apply'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "disable" -d 'Disable a user and end their sessions; the home is not changed'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "enable" -d 'Enable a disabled user'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "passwd" -d 'Set a user\'s password'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "key" -d 'Add, list and remove a user\'s keys'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "quota" -d 'Set a user\'s quota'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from quota" -f -a "scan" -d 'Scan homes, compare the usage with the accounting, and correct the accounting'
complete -c sshomed -n "__fish_sshomed_using_subcommand help; and __fish_seen_subcommand_from home" -f -a "reopen" -d 'Reopen a home that is unavailable or was replaced while the server runs; ends its sessions'
