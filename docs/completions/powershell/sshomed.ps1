
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'sshomed' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'sshomed'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'sshomed' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Listen on this address instead of the configured ones; may be given several times')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Serve until Ctrl-C or SIGTERM; the default command')
            [CompletionResult]::new('user', 'user', [CompletionResultType]::ParameterValue, 'Add, change and remove users')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the configuration and show the effective settings')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the running server''s sessions, transfers, homes and penalties')
            [CompletionResult]::new('kick', 'kick', [CompletionResultType]::ParameterValue, 'End a session of the running server, or all sessions of a user')
            [CompletionResult]::new('quota', 'quota', [CompletionResultType]::ParameterValue, 'Manage the quotas of the running server')
            [CompletionResult]::new('home', 'home', [CompletionResultType]::ParameterValue, 'Manage the homes of the running server')
            [CompletionResult]::new('penalties', 'penalties', [CompletionResultType]::ParameterValue, 'List addresses with failed logins to the running server')
            [CompletionResult]::new('forgive', 'forgive', [CompletionResultType]::ParameterValue, 'Lift the penalty of an address')
            [CompletionResult]::new('reload', 'reload', [CompletionResultType]::ParameterValue, 'Make the running server reload the configuration now, and show the result')
            [CompletionResult]::new('setup', 'setup', [CompletionResultType]::ParameterValue, 'Set up a server on a new host: asks what the options do not answer')
            [CompletionResult]::new('share', 'share', [CompletionResultType]::ParameterValue, 'Share one folder, read-only, until Ctrl-C: with a user and a password for this run only')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;serve' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Listen on this address instead of the configured ones; may be given several times')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Add a user')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a user; the home is kept')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List all users')
            [CompletionResult]::new('set', 'set', [CompletionResultType]::ParameterValue, 'Change a user''s settings; the value "default" removes a setting, so that the general defaults apply')
            [CompletionResult]::new('disable', 'disable', [CompletionResultType]::ParameterValue, 'Disable a user and end their sessions; the home is not changed')
            [CompletionResult]::new('enable', 'enable', [CompletionResultType]::ParameterValue, 'Enable a disabled user')
            [CompletionResult]::new('passwd', 'passwd', [CompletionResultType]::ParameterValue, 'Set a user''s password')
            [CompletionResult]::new('key', 'key', [CompletionResultType]::ParameterValue, 'Add, list and remove a user''s keys')
            [CompletionResult]::new('quota', 'quota', [CompletionResultType]::ParameterValue, 'Set a user''s quota')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;user;add' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'A public key that may log in; may be given several times')
            [CompletionResult]::new('--quota', '--quota', [CompletionResultType]::ParameterName, 'How much the home may hold: "100 MiB", "700 MB", "unlimited"')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--password-stdin', '--password-stdin', [CompletionResultType]::ParameterName, 'Read a password from standard input')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;remove' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;list' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON, for programs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;set' {
            [CompletionResult]::new('--quota', '--quota', [CompletionResultType]::ParameterName, 'How much the home may hold: "100 MiB", "700 MB", "unlimited"')
            [CompletionResult]::new('--max-files', '--max-files', [CompletionResultType]::ParameterName, 'How many files, folders and links the home may hold: a number, or "unlimited"')
            [CompletionResult]::new('--access', '--access', [CompletionResultType]::ParameterName, '"read-write" or "read-only"')
            [CompletionResult]::new('--enabled', '--enabled', [CompletionResultType]::ParameterName, '"true", or "false": nobody can log in as the user')
            [CompletionResult]::new('--own-keys', '--own-keys', [CompletionResultType]::ParameterName, 'Whether the user may install keys: "true" or "false"')
            [CompletionResult]::new('--sftp-uploads', '--sftp-uploads', [CompletionResultType]::ParameterName, '"in-place", or "atomic": a file appears only when it is complete')
            [CompletionResult]::new('--upload-rate', '--upload-rate', [CompletionResultType]::ParameterName, 'Upload rate of the user: "10 MiB/s", "unlimited"')
            [CompletionResult]::new('--download-rate', '--download-rate', [CompletionResultType]::ParameterName, 'Download rate of the user: "10 MiB/s", "unlimited"')
            [CompletionResult]::new('--expires', '--expires', [CompletionResultType]::ParameterName, 'The date from which the user cannot log in, such as 2027-01-01; sessions end')
            [CompletionResult]::new('--deletable', '--deletable', [CompletionResultType]::ParameterName, 'What append-only and upload-only keys may remove, such as "locks/*"; may be given several times. "none" is nothing')
            [CompletionResult]::new('--temporary-names', '--temporary-names', [CompletionResultType]::ParameterName, 'Names under which such keys may remove their own new files, such as "*.partial"; may be given several times')
            [CompletionResult]::new('--root', '--root', [CompletionResultType]::ParameterName, 'The folder that is the home; it must exist. "default" is homes/NAME')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;disable' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;enable' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;passwd' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--password-stdin', '--password-stdin', [CompletionResultType]::ParameterName, 'Read the password from standard input instead of prompting')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;key' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Add the keys of a public key file')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the keys')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a key')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;user;key;add' {
            [CompletionResult]::new('--access', '--access', [CompletionResultType]::ParameterName, 'What the key permits: "read-write", "read-only", "append-only" or "upload-only"')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'The addresses that it may come from, such as "192.0.2.0/24"')
            [CompletionResult]::new('--expires', '--expires', [CompletionResultType]::ParameterName, 'The date from which it is not accepted, such as 2027-01-01')
            [CompletionResult]::new('--folder', '--folder', [CompletionResultType]::ParameterName, 'The folder of the home that the key sees as its home, such as "/laptop"')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;key;list' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;key;remove' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;key;help' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Add the keys of a public key file')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the keys')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a key')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;user;key;help;add' {
            break
        }
        'sshomed;user;key;help;list' {
            break
        }
        'sshomed;user;key;help;remove' {
            break
        }
        'sshomed;user;key;help;help' {
            break
        }
        'sshomed;user;quota' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;user;help' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Add a user')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a user; the home is kept')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List all users')
            [CompletionResult]::new('set', 'set', [CompletionResultType]::ParameterValue, 'Change a user''s settings; the value "default" removes a setting, so that the general defaults apply')
            [CompletionResult]::new('disable', 'disable', [CompletionResultType]::ParameterValue, 'Disable a user and end their sessions; the home is not changed')
            [CompletionResult]::new('enable', 'enable', [CompletionResultType]::ParameterValue, 'Enable a disabled user')
            [CompletionResult]::new('passwd', 'passwd', [CompletionResultType]::ParameterValue, 'Set a user''s password')
            [CompletionResult]::new('key', 'key', [CompletionResultType]::ParameterValue, 'Add, list and remove a user''s keys')
            [CompletionResult]::new('quota', 'quota', [CompletionResultType]::ParameterValue, 'Set a user''s quota')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;user;help;add' {
            break
        }
        'sshomed;user;help;remove' {
            break
        }
        'sshomed;user;help;list' {
            break
        }
        'sshomed;user;help;set' {
            break
        }
        'sshomed;user;help;disable' {
            break
        }
        'sshomed;user;help;enable' {
            break
        }
        'sshomed;user;help;passwd' {
            break
        }
        'sshomed;user;help;key' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Add the keys of a public key file')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the keys')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a key')
            break
        }
        'sshomed;user;help;key;add' {
            break
        }
        'sshomed;user;help;key;list' {
            break
        }
        'sshomed;user;help;key;remove' {
            break
        }
        'sshomed;user;help;quota' {
            break
        }
        'sshomed;user;help;help' {
            break
        }
        'sshomed;check' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Listen on this address instead of the configured ones; may be given several times')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;status' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON, for programs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;kick' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--lock', '--lock', [CompletionResultType]::ParameterName, 'Disable the user first, so that they cannot log in again')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;quota' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('scan', 'scan', [CompletionResultType]::ParameterValue, 'Scan homes, compare the usage with the accounting, and correct the accounting')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;quota;scan' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON, for programs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;quota;help' {
            [CompletionResult]::new('scan', 'scan', [CompletionResultType]::ParameterValue, 'Scan homes, compare the usage with the accounting, and correct the accounting')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;quota;help;scan' {
            break
        }
        'sshomed;quota;help;help' {
            break
        }
        'sshomed;home' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('reopen', 'reopen', [CompletionResultType]::ParameterValue, 'Reopen a home that is unavailable or was replaced while the server runs; ends its sessions')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;home;reopen' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;home;help' {
            [CompletionResult]::new('reopen', 'reopen', [CompletionResultType]::ParameterValue, 'Reopen a home that is unavailable or was replaced while the server runs; ends its sessions')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;home;help;reopen' {
            break
        }
        'sshomed;home;help;help' {
            break
        }
        'sshomed;penalties' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON, for programs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;forgive' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;reload' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;setup' {
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'The first user''s name')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'A public key that may log in as the first user; may be given several times')
            [CompletionResult]::new('--password-file', '--password-file', [CompletionResultType]::ParameterName, 'The file with the first user''s password')
            [CompletionResult]::new('--quota', '--quota', [CompletionResultType]::ParameterName, 'How much the first user''s home may hold: "50 GiB" [default: unlimited]')
            [CompletionResult]::new('--service', '--service', [CompletionResultType]::ParameterName, 'How the server is started')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'The system account of the server, which is created if it is missing; only as root [default: sshome]')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Listen on this address instead of the configured ones; may be given several times')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--password-stdin', '--password-stdin', [CompletionResultType]::ParameterName, 'Read the first user''s password from standard input')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer the other questions with their defaults')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'sshomed;share' {
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'End after this time: 30m, 2h, 1d')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Listen on this address instead of the configured ones; may be given several times')
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'The folder to work in [default: the current one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration, if it is not DIR/etc/users.toml')
            [CompletionResult]::new('--write', '--write', [CompletionResultType]::ParameterName, 'Let the user change the folder')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'sshomed;help' {
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Serve until Ctrl-C or SIGTERM; the default command')
            [CompletionResult]::new('user', 'user', [CompletionResultType]::ParameterValue, 'Add, change and remove users')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the configuration and show the effective settings')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the running server''s sessions, transfers, homes and penalties')
            [CompletionResult]::new('kick', 'kick', [CompletionResultType]::ParameterValue, 'End a session of the running server, or all sessions of a user')
            [CompletionResult]::new('quota', 'quota', [CompletionResultType]::ParameterValue, 'Manage the quotas of the running server')
            [CompletionResult]::new('home', 'home', [CompletionResultType]::ParameterValue, 'Manage the homes of the running server')
            [CompletionResult]::new('penalties', 'penalties', [CompletionResultType]::ParameterValue, 'List addresses with failed logins to the running server')
            [CompletionResult]::new('forgive', 'forgive', [CompletionResultType]::ParameterValue, 'Lift the penalty of an address')
            [CompletionResult]::new('reload', 'reload', [CompletionResultType]::ParameterValue, 'Make the running server reload the configuration now, and show the result')
            [CompletionResult]::new('setup', 'setup', [CompletionResultType]::ParameterValue, 'Set up a server on a new host: asks what the options do not answer')
            [CompletionResult]::new('share', 'share', [CompletionResultType]::ParameterValue, 'Share one folder, read-only, until Ctrl-C: with a user and a password for this run only')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'sshomed;help;serve' {
            break
        }
        'sshomed;help;user' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Add a user')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a user; the home is kept')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List all users')
            [CompletionResult]::new('set', 'set', [CompletionResultType]::ParameterValue, 'Change a user''s settings; the value "default" removes a setting, so that the general defaults apply')
            [CompletionResult]::new('disable', 'disable', [CompletionResultType]::ParameterValue, 'Disable a user and end their sessions; the home is not changed')
            [CompletionResult]::new('enable', 'enable', [CompletionResultType]::ParameterValue, 'Enable a disabled user')
            [CompletionResult]::new('passwd', 'passwd', [CompletionResultType]::ParameterValue, 'Set a user''s password')
            [CompletionResult]::new('key', 'key', [CompletionResultType]::ParameterValue, 'Add, list and remove a user''s keys')
            [CompletionResult]::new('quota', 'quota', [CompletionResultType]::ParameterValue, 'Set a user''s quota')
            break
        }
        'sshomed;help;user;add' {
            break
        }
        'sshomed;help;user;remove' {
            break
        }
        'sshomed;help;user;list' {
            break
        }
        'sshomed;help;user;set' {
            break
        }
        'sshomed;help;user;disable' {
            break
        }
        'sshomed;help;user;enable' {
            break
        }
        'sshomed;help;user;passwd' {
            break
        }
        'sshomed;help;user;key' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Add the keys of a public key file')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the keys')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a key')
            break
        }
        'sshomed;help;user;key;add' {
            break
        }
        'sshomed;help;user;key;list' {
            break
        }
        'sshomed;help;user;key;remove' {
            break
        }
        'sshomed;help;user;quota' {
            break
        }
        'sshomed;help;check' {
            break
        }
        'sshomed;help;status' {
            break
        }
        'sshomed;help;kick' {
            break
        }
        'sshomed;help;quota' {
            [CompletionResult]::new('scan', 'scan', [CompletionResultType]::ParameterValue, 'Scan homes, compare the usage with the accounting, and correct the accounting')
            break
        }
        'sshomed;help;quota;scan' {
            break
        }
        'sshomed;help;home' {
            [CompletionResult]::new('reopen', 'reopen', [CompletionResultType]::ParameterValue, 'Reopen a home that is unavailable or was replaced while the server runs; ends its sessions')
            break
        }
        'sshomed;help;home;reopen' {
            break
        }
        'sshomed;help;penalties' {
            break
        }
        'sshomed;help;forgive' {
            break
        }
        'sshomed;help;reload' {
            break
        }
        'sshomed;help;setup' {
            break
        }
        'sshomed;help;share' {
            break
        }
        'sshomed;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
