# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sshome_global_optspecs
    string join \n i= P= b= F= o= J= 4 6 known-hosts= accept-new timeout= retries= j/jobs= l= compress= q/quiet json v/verbose h/help V/version
end

function __fish_sshome_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sshome_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[2]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[2]
        return 1
    end
    return 0
end

function __fish_sshome_using_subcommand
    set -l cmd (__fish_sshome_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sshome -n "__fish_sshome_needs_command" -s i -d 'Private key file for the login; may be repeated' -r -F
complete -c sshome -n "__fish_sshome_needs_command" -s P -d 'Port of the server (default 2222)' -r
complete -c sshome -n "__fish_sshome_needs_command" -s b -d 'Run the commands of a file ("-" for standard input) as sftp does: print each before it runs, unless its line begins with "@"; get replaces existing files; never ask' -r -F
complete -c sshome -n "__fish_sshome_needs_command" -s F -d 'Use this file instead of ~/.ssh/config and the system\'s; "none" for no file' -r -F
complete -c sshome -n "__fish_sshome_needs_command" -s o -d 'Option of ssh_config, as KEYWORD=VALUE; may be repeated' -r
complete -c sshome -n "__fish_sshome_needs_command" -s J -d 'Connect through these hosts, as USER@HOST:PORT, separated by commas; user and port may be missing; "none" for a direct connection' -r
complete -c sshome -n "__fish_sshome_needs_command" -l known-hosts -d 'Use this file instead of ~/.ssh/known_hosts' -r -F
complete -c sshome -n "__fish_sshome_needs_command" -l timeout -d 'Give up after this many seconds without any traffic, while connecting or waiting for an answer; a running transfer is not affected' -r
complete -c sshome -n "__fish_sshome_needs_command" -l retries -d 'Limit on consecutive reconnects after the connection is lost during a transfer; 0 = off. The delay grows from half a second to 15 s, so 24 retries take at least five minutes. Progress resets the counter' -r
complete -c sshome -n "__fish_sshome_needs_command" -s j -l jobs -d 'Number of parallel connections for a transfer of several files, or of a file of 128 MiB or more; auto decides by number and size' -r
complete -c sshome -n "__fish_sshome_needs_command" -s l -d 'Limit the rate in each direction to this many Kbit/s (minimum 64)' -r
complete -c sshome -n "__fish_sshome_needs_command" -l compress -d 'Compress file data in both directions: auto does so while the link is slower than compressing and the data shrinks; zstd always tries' -r
complete -c sshome -n "__fish_sshome_needs_command" -s 4 -d 'Use IPv4 addresses only'
complete -c sshome -n "__fish_sshome_needs_command" -s 6 -d 'Use IPv6 addresses only'
complete -c sshome -n "__fish_sshome_needs_command" -l accept-new -d 'Accept and store the key of an unknown host; a changed key is still refused'
complete -c sshome -n "__fish_sshome_needs_command" -s q -l quiet -d 'Print results and errors only: no progress, no greeting, no summary'
complete -c sshome -n "__fish_sshome_needs_command" -l json -d 'Write results to standard output as events, one line of JSON each; see docs/automation.md'
complete -c sshome -n "__fish_sshome_needs_command" -s v -l verbose -d 'Log each step of connecting and logging in'
complete -c sshome -n "__fish_sshome_needs_command" -s h -l help -d 'Print help'
complete -c sshome -n "__fish_sshome_needs_command" -s V -l version -d 'Print version'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "bookmark" -d 'name directories on the server, for cd @NAME'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "cat" -d 'print files on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "cd" -d 'change the directory on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "chdir" -d 'change the directory on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "check" -d 'compare local files with those on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "chmod" -d 'change the permissions of files on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "cp" -d 'copy on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "copy" -d 'copy on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "df" -d 'show the quota and its use'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "du" -d 'show the sizes of directories on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "edit" -d 'edit a file on the server in your editor'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "vi" -d 'edit a file on the server in your editor'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "exit" -d 'quit'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "quit" -d 'quit'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "bye" -d 'quit'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "fg" -d 'wait for a background job and show its progress'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "find" -d 'list all files below a directory on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "flush" -d 'flush everything to the server\'s disk'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "sync" -d 'flush everything to the server\'s disk'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "get" -d 'download files'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "mget" -d 'download files'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "reget" -d 'download files'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "hash" -d 'compute the BLAKE3 digest of a file from its disk'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "help" -d 'show this help, or the help of one command'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "jobs" -d 'list the background jobs'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "key" -d 'manage the keys that log in to your account'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "kill" -d 'cancel background jobs'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "lcd" -d 'change the local directory'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "lchdir" -d 'change the local directory'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "less" -d 'show files on the server in a pager'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "lls" -d 'list local files'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "lmkdir" -d 'create a local directory'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "ln" -d 'create a link on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "lpwd" -d 'print the local directory'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "ls" -d 'list files on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "dir" -d 'list files on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "mkdir" -d 'create a directory on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "mv" -d 'rename or move on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "progress" -d 'turn the progress display on or off'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "pull" -d 'make a local directory like one on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "push" -d 'make a directory on the server like a local one'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "put" -d 'upload files'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "mput" -d 'upload files'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "reput" -d 'upload files'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "pwd" -d 'print the directory on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "rename" -d 'rename a file on the server, as in sftp'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "rm" -d 'remove files on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "rmdir" -d 'remove empty directories on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "stat" -d 'show all attributes of a file, one per line'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "symlink" -d 'create a symbolic link on the server'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "tree" -d 'draw a directory on the server as a tree'
complete -c sshome -n "__fish_sshome_needs_command; and __fish_sshome_has_host" -a "version" -d 'print the versions of the program and the protocol'
complete -c sshome -n "__fish_sshome_using_subcommand check" -l exclude -d 'leave out names that match, as in .gitignore' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand check" -l include -d 'but not these; the last option that matches decides' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand check" -l exclude-from -d 'the same for the patterns in a file' -r -F
complete -c sshome -n "__fish_sshome_using_subcommand check" -l min-size -d 'leave out smaller files' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand check" -l max-size -d 'leave out larger files' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand check" -l fast -d 'trust size and time, and read no file'
complete -c sshome -n "__fish_sshome_using_subcommand check" -s c -l checksum -d 'with --fast: trust the server\'s stored digests instead of times'
complete -c sshome -n "__fish_sshome_using_subcommand chmod" -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand cp" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand copy" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand df" -s h -d 'sizes in KiB, MiB, GiB'
complete -c sshome -n "__fish_sshome_using_subcommand df" -s i -d 'show the number of files (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand df" -s v -d 'list partial uploads as well'
complete -c sshome -n "__fish_sshome_using_subcommand du" -l max-depth -d 'show at most N levels below PATH' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand du" -s h -d 'sizes in KiB, MiB, GiB'
complete -c sshome -n "__fish_sshome_using_subcommand du" -s s -d 'only the total of each PATH'
complete -c sshome -n "__fish_sshome_using_subcommand du" -s a -d 'files as well, not only directories'
complete -c sshome -n "__fish_sshome_using_subcommand find" -l name -d 'only names that match, as in *.txt' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand find" -l type -d 'only files (f), directories (d) or links (l)' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand find" -l max-depth -d 'show at most N levels below PATH' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand find" -s 0 -d 'end each path with a NUL instead of a line feed, for xargs -0'
complete -c sshome -n "__fish_sshome_using_subcommand get" -s j -l jobs -d 'number of parallel connections, or auto' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand get" -l delta -d 'send only what differs from an old version: auto (not on this machine), always, never' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand get" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand get" -s p -s P -d 'preserve modification time and mode'
complete -c sshome -n "__fish_sshome_using_subcommand get" -s L -d 'follow symbolic links instead of copying them'
complete -c sshome -n "__fish_sshome_using_subcommand get" -s a -d 'resume a partial transfer (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand get" -l all -d 'transfer files with the same content, too'
complete -c sshome -n "__fish_sshome_using_subcommand get" -s f -l force -d 'replace an existing local file'
complete -c sshome -n "__fish_sshome_using_subcommand mget" -s j -l jobs -d 'number of parallel connections, or auto' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand mget" -l delta -d 'send only what differs from an old version: auto (not on this machine), always, never' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand mget" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand mget" -s p -s P -d 'preserve modification time and mode'
complete -c sshome -n "__fish_sshome_using_subcommand mget" -s L -d 'follow symbolic links instead of copying them'
complete -c sshome -n "__fish_sshome_using_subcommand mget" -s a -d 'resume a partial transfer (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand mget" -l all -d 'transfer files with the same content, too'
complete -c sshome -n "__fish_sshome_using_subcommand mget" -s f -l force -d 'replace an existing local file'
complete -c sshome -n "__fish_sshome_using_subcommand reget" -s j -l jobs -d 'number of parallel connections, or auto' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand reget" -l delta -d 'send only what differs from an old version: auto (not on this machine), always, never' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand reget" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand reget" -s p -s P -d 'preserve modification time and mode'
complete -c sshome -n "__fish_sshome_using_subcommand reget" -s L -d 'follow symbolic links instead of copying them'
complete -c sshome -n "__fish_sshome_using_subcommand reget" -s a -d 'resume a partial transfer (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand reget" -l all -d 'transfer files with the same content, too'
complete -c sshome -n "__fish_sshome_using_subcommand reget" -s f -l force -d 'replace an existing local file'
complete -c sshome -n "__fish_sshome_using_subcommand hash" -l verify -d 'compare with the digest stored at upload'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s l -s n -d 'one line per file: mode, links, size, time, name'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s a -d 'include names that begin with a dot'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s d -d 'list directories themselves, not their contents'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s F -d 'append / to directories, @ to links, * to programs'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s h -d 'sizes in KiB, MiB, GiB'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s t -d 'sort by time, newest first'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s S -d 'sort by size, largest first'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s r -d 'reverse the order'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s 1 -d 'one name per line'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s f -d 'do not sort'
complete -c sshome -n "__fish_sshome_using_subcommand lls" -s R -d 'list subdirectories recursively'
complete -c sshome -n "__fish_sshome_using_subcommand lmkdir" -s p -d 'create missing parent directories'
complete -c sshome -n "__fish_sshome_using_subcommand ln" -s s -d 'symbolic link (the only kind that ln creates)'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s l -s n -d 'one line per file: mode, links, size, time, name'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s a -d 'include names that begin with a dot'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s d -d 'list directories themselves, not their contents'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s F -d 'append / to directories, @ to links, * to programs'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s h -d 'sizes in KiB, MiB, GiB'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s t -d 'sort by time, newest first'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s S -d 'sort by size, largest first'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s r -d 'reverse the order'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s 1 -d 'one name per line'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s f -d 'do not sort'
complete -c sshome -n "__fish_sshome_using_subcommand ls" -s R -d 'list subdirectories recursively'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s l -s n -d 'one line per file: mode, links, size, time, name'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s a -d 'include names that begin with a dot'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s d -d 'list directories themselves, not their contents'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s F -d 'append / to directories, @ to links, * to programs'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s h -d 'sizes in KiB, MiB, GiB'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s t -d 'sort by time, newest first'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s S -d 'sort by size, largest first'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s r -d 'reverse the order'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s 1 -d 'one name per line'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s f -d 'do not sort'
complete -c sshome -n "__fish_sshome_using_subcommand dir" -s R -d 'list subdirectories recursively'
complete -c sshome -n "__fish_sshome_using_subcommand mkdir" -s p -l parents -d 'create missing parent directories'
complete -c sshome -n "__fish_sshome_using_subcommand pull" -s j -l jobs -d 'number of parallel connections, or auto' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l delta -d 'send only what differs from an old version: auto (not on this machine), always, never' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l max-delete -d 'with --delete: delete nothing if it would be more than N entries' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l backup-dir -d 'keep what is replaced or deleted in DIR at the destination' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l exclude -d 'leave out names that match, as in .gitignore' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l include -d 'but not these; the last option that matches decides' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l exclude-from -d 'the same for the patterns in a file' -r -F
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l min-size -d 'leave out smaller files' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l max-size -d 'leave out larger files' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand pull" -s n -l dry-run -d 'show what would be changed, and change nothing'
complete -c sshome -n "__fish_sshome_using_subcommand pull" -s i -l itemize -d 'list each change: create, update or delete'
complete -c sshome -n "__fish_sshome_using_subcommand pull" -s c -l checksum -d 'compare digests of files of the same size, not their times'
complete -c sshome -n "__fish_sshome_using_subcommand pull" -s u -l update -d 'keep files that are newer at the destination'
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l delete -d 'delete what exists only at the destination'
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l delete-excluded -d 'the same, and excluded names as well'
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l existing -d 'transfer only files that exist at the destination'
complete -c sshome -n "__fish_sshome_using_subcommand pull" -l ignore-existing -d 'transfer only files that do not exist there'
complete -c sshome -n "__fish_sshome_using_subcommand push" -s j -l jobs -d 'number of parallel connections, or auto' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand push" -l delta -d 'send only what differs from an old version: auto (not on this machine), always, never' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand push" -l max-delete -d 'with --delete: delete nothing if it would be more than N entries' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand push" -l backup-dir -d 'keep what is replaced or deleted in DIR at the destination' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand push" -l exclude -d 'leave out names that match, as in .gitignore' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand push" -l include -d 'but not these; the last option that matches decides' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand push" -l exclude-from -d 'the same for the patterns in a file' -r -F
complete -c sshome -n "__fish_sshome_using_subcommand push" -l min-size -d 'leave out smaller files' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand push" -l max-size -d 'leave out larger files' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand push" -s n -l dry-run -d 'show what would be changed, and change nothing'
complete -c sshome -n "__fish_sshome_using_subcommand push" -s i -l itemize -d 'list each change: create, update or delete'
complete -c sshome -n "__fish_sshome_using_subcommand push" -s c -l checksum -d 'compare digests of files of the same size, not their times'
complete -c sshome -n "__fish_sshome_using_subcommand push" -s u -l update -d 'keep files that are newer at the destination'
complete -c sshome -n "__fish_sshome_using_subcommand push" -l delete -d 'delete what exists only at the destination'
complete -c sshome -n "__fish_sshome_using_subcommand push" -l delete-excluded -d 'the same, and excluded names as well'
complete -c sshome -n "__fish_sshome_using_subcommand push" -l existing -d 'transfer only files that exist at the destination'
complete -c sshome -n "__fish_sshome_using_subcommand push" -l ignore-existing -d 'transfer only files that do not exist there'
complete -c sshome -n "__fish_sshome_using_subcommand push" -l watch -d 'keep running, and send changes'
complete -c sshome -n "__fish_sshome_using_subcommand put" -s j -l jobs -d 'number of parallel connections, or auto' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand put" -l delta -d 'send only what differs from an old version: auto (not on this machine), always, never' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand put" -l size -d 'required length of the input of put -' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand put" -l b3 -d 'required BLAKE3 of the input of put -' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand put" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand put" -s p -s P -d 'preserve modification time and mode'
complete -c sshome -n "__fish_sshome_using_subcommand put" -s L -d 'follow symbolic links instead of copying them'
complete -c sshome -n "__fish_sshome_using_subcommand put" -s a -d 'resume a partial transfer (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand put" -l all -d 'transfer files with the same content, too'
complete -c sshome -n "__fish_sshome_using_subcommand put" -s f -d 'wait for fsync (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand mput" -s j -l jobs -d 'number of parallel connections, or auto' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand mput" -l delta -d 'send only what differs from an old version: auto (not on this machine), always, never' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand mput" -l size -d 'required length of the input of put -' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand mput" -l b3 -d 'required BLAKE3 of the input of put -' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand mput" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand mput" -s p -s P -d 'preserve modification time and mode'
complete -c sshome -n "__fish_sshome_using_subcommand mput" -s L -d 'follow symbolic links instead of copying them'
complete -c sshome -n "__fish_sshome_using_subcommand mput" -s a -d 'resume a partial transfer (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand mput" -l all -d 'transfer files with the same content, too'
complete -c sshome -n "__fish_sshome_using_subcommand mput" -s f -d 'wait for fsync (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand reput" -s j -l jobs -d 'number of parallel connections, or auto' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand reput" -l delta -d 'send only what differs from an old version: auto (not on this machine), always, never' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand reput" -l size -d 'required length of the input of put -' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand reput" -l b3 -d 'required BLAKE3 of the input of put -' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand reput" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand reput" -s p -s P -d 'preserve modification time and mode'
complete -c sshome -n "__fish_sshome_using_subcommand reput" -s L -d 'follow symbolic links instead of copying them'
complete -c sshome -n "__fish_sshome_using_subcommand reput" -s a -d 'resume a partial transfer (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand reput" -l all -d 'transfer files with the same content, too'
complete -c sshome -n "__fish_sshome_using_subcommand reput" -s f -d 'wait for fsync (always on; accepted for sftp)'
complete -c sshome -n "__fish_sshome_using_subcommand rename" -s l -d 'fail if TO exists'
complete -c sshome -n "__fish_sshome_using_subcommand rm" -s r -s R -l recursive -d 'directories and their contents'
complete -c sshome -n "__fish_sshome_using_subcommand rm" -s f -l force -d 'ignore missing files, and patterns without a match'
complete -c sshome -n "__fish_sshome_using_subcommand rm" -l partial -d 'remove partial uploads'
complete -c sshome -n "__fish_sshome_using_subcommand stat" -s L -d 'follow the link'
complete -c sshome -n "__fish_sshome_using_subcommand tree" -s L -d 'show at most N levels' -r -f
complete -c sshome -n "__fish_sshome_using_subcommand tree" -s a -d 'include names that begin with a dot'
complete -c sshome -n "__fish_sshome_using_subcommand tree" -s d -d 'only directories'
complete -c sshome -n "__fish_sshome_using_subcommand tree" -s F -d 'append / to directories, @ to links, * to programs'

function __fish_sshome_has_host
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sshome_global_optspecs) -- $cmd 2>/dev/null
    and set -q argv[1]
end

complete -c sshome -n "not __fish_sshome_has_host" -f -a "(__fish_print_hostnames)"
