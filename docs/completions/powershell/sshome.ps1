
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'sshome' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'sshome'
        for ($i = 2; $i -lt $commandElements.Count; $i++) {
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
        'sshome' {
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Private key file for the login; may be repeated')
            [CompletionResult]::new('-P', '-P ', [CompletionResultType]::ParameterName, 'Port of the server (default 2222)')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'Run the commands of a file ("-" for standard input) as sftp does: print each before it runs, unless its line begins with "@"; get replaces existing files; never ask')
            [CompletionResult]::new('-F', '-F ', [CompletionResultType]::ParameterName, 'Use this file instead of ~/.ssh/config and the system''s; "none" for no file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Option of ssh_config, as KEYWORD=VALUE; may be repeated')
            [CompletionResult]::new('-J', '-J ', [CompletionResultType]::ParameterName, 'Connect through these hosts, as USER@HOST:PORT, separated by commas; user and port may be missing; "none" for a direct connection')
            [CompletionResult]::new('--known-hosts', '--known-hosts', [CompletionResultType]::ParameterName, 'Use this file instead of ~/.ssh/known_hosts')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this many seconds without any traffic, while connecting or waiting for an answer; a running transfer is not affected')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Limit on consecutive reconnects after the connection is lost during a transfer; 0 = off. The delay grows from half a second to 15 s, so 24 retries take at least five minutes. Progress resets the counter')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'Number of parallel connections for a transfer of several files, or of a file of 128 MiB or more; auto decides by number and size')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'Number of parallel connections for a transfer of several files, or of a file of 128 MiB or more; auto decides by number and size')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Limit the rate in each direction to this many Kbit/s (minimum 64)')
            [CompletionResult]::new('--compress', '--compress', [CompletionResultType]::ParameterName, 'Compress file data in both directions: auto does so while the link is slower than compressing and the data shrinks; zstd always tries')
            [CompletionResult]::new('-4', '-4', [CompletionResultType]::ParameterName, 'Use IPv4 addresses only')
            [CompletionResult]::new('-6', '-6', [CompletionResultType]::ParameterName, 'Use IPv6 addresses only')
            [CompletionResult]::new('--accept-new', '--accept-new', [CompletionResultType]::ParameterName, 'Accept and store the key of an unknown host; a changed key is still refused')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print results and errors only: no progress, no greeting, no summary')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print results and errors only: no progress, no greeting, no summary')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Write results to standard output as events, one line of JSON each; see docs/automation.md')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log each step of connecting and logging in')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log each step of connecting and logging in')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('bookmark', 'bookmark', [CompletionResultType]::ParameterValue, 'name directories on the server, for cd @NAME')
            [CompletionResult]::new('cat', 'cat', [CompletionResultType]::ParameterValue, 'print files on the server')
            [CompletionResult]::new('cd', 'cd', [CompletionResultType]::ParameterValue, 'change the directory on the server')
            [CompletionResult]::new('chdir', 'chdir', [CompletionResultType]::ParameterValue, 'change the directory on the server')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'compare local files with those on the server')
            [CompletionResult]::new('chmod', 'chmod', [CompletionResultType]::ParameterValue, 'change the permissions of files on the server')
            [CompletionResult]::new('cp', 'cp', [CompletionResultType]::ParameterValue, 'copy on the server')
            [CompletionResult]::new('copy', 'copy', [CompletionResultType]::ParameterValue, 'copy on the server')
            [CompletionResult]::new('df', 'df', [CompletionResultType]::ParameterValue, 'show the quota and its use')
            [CompletionResult]::new('du', 'du', [CompletionResultType]::ParameterValue, 'show the sizes of directories on the server')
            [CompletionResult]::new('edit', 'edit', [CompletionResultType]::ParameterValue, 'edit a file on the server in your editor')
            [CompletionResult]::new('vi', 'vi', [CompletionResultType]::ParameterValue, 'edit a file on the server in your editor')
            [CompletionResult]::new('exit', 'exit', [CompletionResultType]::ParameterValue, 'quit')
            [CompletionResult]::new('quit', 'quit', [CompletionResultType]::ParameterValue, 'quit')
            [CompletionResult]::new('bye', 'bye', [CompletionResultType]::ParameterValue, 'quit')
            [CompletionResult]::new('fg', 'fg', [CompletionResultType]::ParameterValue, 'wait for a background job and show its progress')
            [CompletionResult]::new('find', 'find', [CompletionResultType]::ParameterValue, 'list all files below a directory on the server')
            [CompletionResult]::new('flush', 'flush', [CompletionResultType]::ParameterValue, 'flush everything to the server''s disk')
            [CompletionResult]::new('sync', 'sync', [CompletionResultType]::ParameterValue, 'flush everything to the server''s disk')
            [CompletionResult]::new('get', 'get', [CompletionResultType]::ParameterValue, 'download files')
            [CompletionResult]::new('mget', 'mget', [CompletionResultType]::ParameterValue, 'download files')
            [CompletionResult]::new('reget', 'reget', [CompletionResultType]::ParameterValue, 'download files')
            [CompletionResult]::new('hash', 'hash', [CompletionResultType]::ParameterValue, 'compute the BLAKE3 digest of a file from its disk')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'show this help, or the help of one command')
            [CompletionResult]::new('jobs', 'jobs', [CompletionResultType]::ParameterValue, 'list the background jobs')
            [CompletionResult]::new('key', 'key', [CompletionResultType]::ParameterValue, 'manage the keys that log in to your account')
            [CompletionResult]::new('kill', 'kill', [CompletionResultType]::ParameterValue, 'cancel background jobs')
            [CompletionResult]::new('lcd', 'lcd', [CompletionResultType]::ParameterValue, 'change the local directory')
            [CompletionResult]::new('lchdir', 'lchdir', [CompletionResultType]::ParameterValue, 'change the local directory')
            [CompletionResult]::new('less', 'less', [CompletionResultType]::ParameterValue, 'show files on the server in a pager')
            [CompletionResult]::new('lls', 'lls', [CompletionResultType]::ParameterValue, 'list local files')
            [CompletionResult]::new('lmkdir', 'lmkdir', [CompletionResultType]::ParameterValue, 'create a local directory')
            [CompletionResult]::new('ln', 'ln', [CompletionResultType]::ParameterValue, 'create a link on the server')
            [CompletionResult]::new('lpwd', 'lpwd', [CompletionResultType]::ParameterValue, 'print the local directory')
            [CompletionResult]::new('ls', 'ls', [CompletionResultType]::ParameterValue, 'list files on the server')
            [CompletionResult]::new('dir', 'dir', [CompletionResultType]::ParameterValue, 'list files on the server')
            [CompletionResult]::new('mkdir', 'mkdir', [CompletionResultType]::ParameterValue, 'create a directory on the server')
            [CompletionResult]::new('mv', 'mv', [CompletionResultType]::ParameterValue, 'rename or move on the server')
            [CompletionResult]::new('progress', 'progress', [CompletionResultType]::ParameterValue, 'turn the progress display on or off')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'make a local directory like one on the server')
            [CompletionResult]::new('push', 'push', [CompletionResultType]::ParameterValue, 'make a directory on the server like a local one')
            [CompletionResult]::new('put', 'put', [CompletionResultType]::ParameterValue, 'upload files')
            [CompletionResult]::new('mput', 'mput', [CompletionResultType]::ParameterValue, 'upload files')
            [CompletionResult]::new('reput', 'reput', [CompletionResultType]::ParameterValue, 'upload files')
            [CompletionResult]::new('pwd', 'pwd', [CompletionResultType]::ParameterValue, 'print the directory on the server')
            [CompletionResult]::new('rename', 'rename', [CompletionResultType]::ParameterValue, 'rename a file on the server, as in sftp')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'remove files on the server')
            [CompletionResult]::new('rmdir', 'rmdir', [CompletionResultType]::ParameterValue, 'remove empty directories on the server')
            [CompletionResult]::new('stat', 'stat', [CompletionResultType]::ParameterValue, 'show all attributes of a file, one per line')
            [CompletionResult]::new('symlink', 'symlink', [CompletionResultType]::ParameterValue, 'create a symbolic link on the server')
            [CompletionResult]::new('tree', 'tree', [CompletionResultType]::ParameterValue, 'draw a directory on the server as a tree')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'print the versions of the program and the protocol')
            break
        }
        'sshome;bookmark' {
            break
        }
        'sshome;cat' {
            break
        }
        'sshome;cd' {
            break
        }
        'sshome;chdir' {
            break
        }
        'sshome;check' {
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'leave out names that match, as in .gitignore')
            [CompletionResult]::new('--include', '--include', [CompletionResultType]::ParameterName, 'but not these; the last option that matches decides')
            [CompletionResult]::new('--exclude-from', '--exclude-from', [CompletionResultType]::ParameterName, 'the same for the patterns in a file')
            [CompletionResult]::new('--min-size', '--min-size', [CompletionResultType]::ParameterName, 'leave out smaller files')
            [CompletionResult]::new('--max-size', '--max-size', [CompletionResultType]::ParameterName, 'leave out larger files')
            [CompletionResult]::new('--fast', '--fast', [CompletionResultType]::ParameterName, 'trust size and time, and read no file')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'with --fast: trust the server''s stored digests instead of times')
            [CompletionResult]::new('--checksum', '--checksum', [CompletionResultType]::ParameterName, 'with --fast: trust the server''s stored digests instead of times')
            break
        }
        'sshome;chmod' {
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            break
        }
        'sshome;cp' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            break
        }
        'sshome;copy' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            break
        }
        'sshome;df' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'sizes in KiB, MiB, GiB')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'show the number of files (always on; accepted for sftp)')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'list partial uploads as well')
            break
        }
        'sshome;du' {
            [CompletionResult]::new('--max-depth', '--max-depth', [CompletionResultType]::ParameterName, 'show at most N levels below PATH')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'sizes in KiB, MiB, GiB')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'only the total of each PATH')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'files as well, not only directories')
            break
        }
        'sshome;edit' {
            break
        }
        'sshome;vi' {
            break
        }
        'sshome;exit' {
            break
        }
        'sshome;quit' {
            break
        }
        'sshome;bye' {
            break
        }
        'sshome;fg' {
            break
        }
        'sshome;find' {
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'only names that match, as in *.txt')
            [CompletionResult]::new('--type', '--type', [CompletionResultType]::ParameterName, 'only files (f), directories (d) or links (l)')
            [CompletionResult]::new('--max-depth', '--max-depth', [CompletionResultType]::ParameterName, 'show at most N levels below PATH')
            [CompletionResult]::new('-0', '-0', [CompletionResultType]::ParameterName, 'end each path with a NUL instead of a line feed, for xargs -0')
            break
        }
        'sshome;flush' {
            break
        }
        'sshome;sync' {
            break
        }
        'sshome;get' {
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'send only what differs from an old version: auto (not on this machine), always, never')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-P', '-P ', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-L', '-L ', [CompletionResultType]::ParameterName, 'follow symbolic links instead of copying them')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'resume a partial transfer (always on; accepted for sftp)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'transfer files with the same content, too')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'replace an existing local file')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'replace an existing local file')
            break
        }
        'sshome;mget' {
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'send only what differs from an old version: auto (not on this machine), always, never')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-P', '-P ', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-L', '-L ', [CompletionResultType]::ParameterName, 'follow symbolic links instead of copying them')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'resume a partial transfer (always on; accepted for sftp)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'transfer files with the same content, too')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'replace an existing local file')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'replace an existing local file')
            break
        }
        'sshome;reget' {
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'send only what differs from an old version: auto (not on this machine), always, never')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-P', '-P ', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-L', '-L ', [CompletionResultType]::ParameterName, 'follow symbolic links instead of copying them')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'resume a partial transfer (always on; accepted for sftp)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'transfer files with the same content, too')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'replace an existing local file')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'replace an existing local file')
            break
        }
        'sshome;hash' {
            [CompletionResult]::new('--verify', '--verify', [CompletionResultType]::ParameterName, 'compare with the digest stored at upload')
            break
        }
        'sshome;help' {
            break
        }
        'sshome;jobs' {
            break
        }
        'sshome;key' {
            break
        }
        'sshome;kill' {
            break
        }
        'sshome;lcd' {
            break
        }
        'sshome;lchdir' {
            break
        }
        'sshome;less' {
            break
        }
        'sshome;lls' {
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'one line per file: mode, links, size, time, name')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'one line per file: mode, links, size, time, name')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'include names that begin with a dot')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'list directories themselves, not their contents')
            [CompletionResult]::new('-F', '-F ', [CompletionResultType]::ParameterName, 'append / to directories, @ to links, * to programs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'sizes in KiB, MiB, GiB')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'sort by time, newest first')
            [CompletionResult]::new('-S', '-S ', [CompletionResultType]::ParameterName, 'sort by size, largest first')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'reverse the order')
            [CompletionResult]::new('-1', '-1', [CompletionResultType]::ParameterName, 'one name per line')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'do not sort')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'list subdirectories recursively')
            break
        }
        'sshome;lmkdir' {
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'create missing parent directories')
            break
        }
        'sshome;ln' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'symbolic link (the only kind that ln creates)')
            break
        }
        'sshome;lpwd' {
            break
        }
        'sshome;ls' {
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'one line per file: mode, links, size, time, name')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'one line per file: mode, links, size, time, name')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'include names that begin with a dot')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'list directories themselves, not their contents')
            [CompletionResult]::new('-F', '-F ', [CompletionResultType]::ParameterName, 'append / to directories, @ to links, * to programs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'sizes in KiB, MiB, GiB')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'sort by time, newest first')
            [CompletionResult]::new('-S', '-S ', [CompletionResultType]::ParameterName, 'sort by size, largest first')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'reverse the order')
            [CompletionResult]::new('-1', '-1', [CompletionResultType]::ParameterName, 'one name per line')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'do not sort')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'list subdirectories recursively')
            break
        }
        'sshome;dir' {
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'one line per file: mode, links, size, time, name')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'one line per file: mode, links, size, time, name')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'include names that begin with a dot')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'list directories themselves, not their contents')
            [CompletionResult]::new('-F', '-F ', [CompletionResultType]::ParameterName, 'append / to directories, @ to links, * to programs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'sizes in KiB, MiB, GiB')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'sort by time, newest first')
            [CompletionResult]::new('-S', '-S ', [CompletionResultType]::ParameterName, 'sort by size, largest first')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'reverse the order')
            [CompletionResult]::new('-1', '-1', [CompletionResultType]::ParameterName, 'one name per line')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'do not sort')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'list subdirectories recursively')
            break
        }
        'sshome;mkdir' {
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'create missing parent directories')
            [CompletionResult]::new('--parents', '--parents', [CompletionResultType]::ParameterName, 'create missing parent directories')
            break
        }
        'sshome;mv' {
            break
        }
        'sshome;progress' {
            break
        }
        'sshome;pull' {
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'send only what differs from an old version: auto (not on this machine), always, never')
            [CompletionResult]::new('--max-delete', '--max-delete', [CompletionResultType]::ParameterName, 'with --delete: delete nothing if it would be more than N entries')
            [CompletionResult]::new('--backup-dir', '--backup-dir', [CompletionResultType]::ParameterName, 'keep what is replaced or deleted in DIR at the destination')
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'leave out names that match, as in .gitignore')
            [CompletionResult]::new('--include', '--include', [CompletionResultType]::ParameterName, 'but not these; the last option that matches decides')
            [CompletionResult]::new('--exclude-from', '--exclude-from', [CompletionResultType]::ParameterName, 'the same for the patterns in a file')
            [CompletionResult]::new('--min-size', '--min-size', [CompletionResultType]::ParameterName, 'leave out smaller files')
            [CompletionResult]::new('--max-size', '--max-size', [CompletionResultType]::ParameterName, 'leave out larger files')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'show what would be changed, and change nothing')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'show what would be changed, and change nothing')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'list each change: create, update or delete')
            [CompletionResult]::new('--itemize', '--itemize', [CompletionResultType]::ParameterName, 'list each change: create, update or delete')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'compare digests of files of the same size, not their times')
            [CompletionResult]::new('--checksum', '--checksum', [CompletionResultType]::ParameterName, 'compare digests of files of the same size, not their times')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'keep files that are newer at the destination')
            [CompletionResult]::new('--update', '--update', [CompletionResultType]::ParameterName, 'keep files that are newer at the destination')
            [CompletionResult]::new('--delete', '--delete', [CompletionResultType]::ParameterName, 'delete what exists only at the destination')
            [CompletionResult]::new('--delete-excluded', '--delete-excluded', [CompletionResultType]::ParameterName, 'the same, and excluded names as well')
            [CompletionResult]::new('--existing', '--existing', [CompletionResultType]::ParameterName, 'transfer only files that exist at the destination')
            [CompletionResult]::new('--ignore-existing', '--ignore-existing', [CompletionResultType]::ParameterName, 'transfer only files that do not exist there')
            break
        }
        'sshome;push' {
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'send only what differs from an old version: auto (not on this machine), always, never')
            [CompletionResult]::new('--max-delete', '--max-delete', [CompletionResultType]::ParameterName, 'with --delete: delete nothing if it would be more than N entries')
            [CompletionResult]::new('--backup-dir', '--backup-dir', [CompletionResultType]::ParameterName, 'keep what is replaced or deleted in DIR at the destination')
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'leave out names that match, as in .gitignore')
            [CompletionResult]::new('--include', '--include', [CompletionResultType]::ParameterName, 'but not these; the last option that matches decides')
            [CompletionResult]::new('--exclude-from', '--exclude-from', [CompletionResultType]::ParameterName, 'the same for the patterns in a file')
            [CompletionResult]::new('--min-size', '--min-size', [CompletionResultType]::ParameterName, 'leave out smaller files')
            [CompletionResult]::new('--max-size', '--max-size', [CompletionResultType]::ParameterName, 'leave out larger files')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'show what would be changed, and change nothing')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'show what would be changed, and change nothing')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'list each change: create, update or delete')
            [CompletionResult]::new('--itemize', '--itemize', [CompletionResultType]::ParameterName, 'list each change: create, update or delete')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'compare digests of files of the same size, not their times')
            [CompletionResult]::new('--checksum', '--checksum', [CompletionResultType]::ParameterName, 'compare digests of files of the same size, not their times')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'keep files that are newer at the destination')
            [CompletionResult]::new('--update', '--update', [CompletionResultType]::ParameterName, 'keep files that are newer at the destination')
            [CompletionResult]::new('--delete', '--delete', [CompletionResultType]::ParameterName, 'delete what exists only at the destination')
            [CompletionResult]::new('--delete-excluded', '--delete-excluded', [CompletionResultType]::ParameterName, 'the same, and excluded names as well')
            [CompletionResult]::new('--existing', '--existing', [CompletionResultType]::ParameterName, 'transfer only files that exist at the destination')
            [CompletionResult]::new('--ignore-existing', '--ignore-existing', [CompletionResultType]::ParameterName, 'transfer only files that do not exist there')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'keep running, and send changes')
            break
        }
        'sshome;put' {
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'send only what differs from an old version: auto (not on this machine), always, never')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'required length of the input of put -')
            [CompletionResult]::new('--b3', '--b3', [CompletionResultType]::ParameterName, 'required BLAKE3 of the input of put -')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-P', '-P ', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-L', '-L ', [CompletionResultType]::ParameterName, 'follow symbolic links instead of copying them')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'resume a partial transfer (always on; accepted for sftp)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'transfer files with the same content, too')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'wait for fsync (always on; accepted for sftp)')
            break
        }
        'sshome;mput' {
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'send only what differs from an old version: auto (not on this machine), always, never')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'required length of the input of put -')
            [CompletionResult]::new('--b3', '--b3', [CompletionResultType]::ParameterName, 'required BLAKE3 of the input of put -')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-P', '-P ', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-L', '-L ', [CompletionResultType]::ParameterName, 'follow symbolic links instead of copying them')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'resume a partial transfer (always on; accepted for sftp)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'transfer files with the same content, too')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'wait for fsync (always on; accepted for sftp)')
            break
        }
        'sshome;reput' {
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'number of parallel connections, or auto')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'send only what differs from an old version: auto (not on this machine), always, never')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'required length of the input of put -')
            [CompletionResult]::new('--b3', '--b3', [CompletionResultType]::ParameterName, 'required BLAKE3 of the input of put -')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-P', '-P ', [CompletionResultType]::ParameterName, 'preserve modification time and mode')
            [CompletionResult]::new('-L', '-L ', [CompletionResultType]::ParameterName, 'follow symbolic links instead of copying them')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'resume a partial transfer (always on; accepted for sftp)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'transfer files with the same content, too')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'wait for fsync (always on; accepted for sftp)')
            break
        }
        'sshome;pwd' {
            break
        }
        'sshome;rename' {
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'fail if TO exists')
            break
        }
        'sshome;rm' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-R', '-R ', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'directories and their contents')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'ignore missing files, and patterns without a match')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'ignore missing files, and patterns without a match')
            [CompletionResult]::new('--partial', '--partial', [CompletionResultType]::ParameterName, 'remove partial uploads')
            break
        }
        'sshome;rmdir' {
            break
        }
        'sshome;stat' {
            [CompletionResult]::new('-L', '-L ', [CompletionResultType]::ParameterName, 'follow the link')
            break
        }
        'sshome;symlink' {
            break
        }
        'sshome;tree' {
            [CompletionResult]::new('-L', '-L ', [CompletionResultType]::ParameterName, 'show at most N levels')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'include names that begin with a dot')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'only directories')
            [CompletionResult]::new('-F', '-F ', [CompletionResultType]::ParameterName, 'append / to directories, @ to links, * to programs')
            break
        }
        'sshome;version' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
