// What Go's github.com/pkg/sftp has, at a server.
//
// pkg_sftp HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

var content = bytes.Repeat([]byte("0123456789abcde\n"), 200_000)

func check(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func holds(is bool, what string) {
	if !is {
		log.Fatalf("%s does not hold", what)
	}
}

func connect(host, port, user, key, known string) *ssh.Client {
	text, err := os.ReadFile(key)
	check(err, "reading the key")
	signer, err := ssh.ParsePrivateKey(text)
	check(err, "the key")
	hosts, err := knownhosts.New(known)
	check(err, "known_hosts")
	config := &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: hosts,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}}
	connection, err := ssh.Dial("tcp", host+":"+port, config)
	check(err, "connecting")
	return connection
}

func read(client *sftp.Client, name string) []byte {
	file, err := client.Open(name)
	check(err, "open "+name)
	defer file.Close()
	var out bytes.Buffer
	_, err = file.WriteTo(&out)
	check(err, "read "+name)
	return out.Bytes()
}

func write(client *sftp.Client, name string, what []byte) {
	file, err := client.Create(name)
	check(err, "create "+name)
	_, err = file.ReadFrom(bytes.NewReader(what))
	check(err, "write "+name)
	check(file.Close(), "close "+name)
}

func files(client *sftp.Client, at func(string) string) {
	write(client, at("data"), content)
	holds(bytes.Equal(read(client, at("data")), content), "the content")
	file, err := client.OpenFile(at("data"), os.O_RDWR)
	check(err, "open to read and write")
	_, err = file.WriteAt([]byte("HERE"), 70_000)
	check(err, "WriteAt")
	got := make([]byte, 6)
	_, err = file.ReadAt(got, 69_999)
	check(err, "ReadAt")
	holds(string(got[1:5]) == "HERE", "what WriteAt wrote")
	_, err = file.Seek(-4, io.SeekEnd)
	check(err, "Seek")
	check(file.Sync(), "Sync")
	check(file.Truncate(1234), "Truncate")
	check(file.Chmod(0o640), "Chmod")
	told, err := file.Stat()
	check(err, "Stat")
	holds(told.Size() == 1234 && told.Mode().Perm() == 0o640, "what Stat says")
	check(file.Close(), "Close")
	end, err := client.OpenFile(at("data"), os.O_WRONLY|os.O_APPEND)
	check(err, "open to append")
	_, err = end.Write([]byte("more"))
	check(err, "append")
	check(end.Close(), "close")
	_, err = client.OpenFile(at("data"), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	holds(err != nil, "the refusal of what exists")
	when := time.Unix(1_100_000_000, 0)
	check(client.Chtimes(at("data"), when, when), "Chtimes")
	told, err = client.Stat(at("data"))
	check(err, "Stat")
	holds(told.ModTime().Equal(when), "the time")
}

func folders(client *sftp.Client, at func(string) string) {
	check(client.MkdirAll(at("d/e/f")), "MkdirAll")
	for _, name := range []string{"one", "two words", "three"} {
		write(client, at("d/"+name), []byte(name))
	}
	entries, err := client.ReadDir(at("d"))
	check(err, "ReadDir")
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	sort.Strings(names)
	holds(strings.Join(names, ",") == "e,one,three,two words", fmt.Sprint(names))
	found, err := client.Glob(at("d/t*"))
	check(err, "Glob")
	holds(len(found) == 2, "what Glob finds")
	walked := 0
	for walker := client.Walk(at("d")); walker.Step(); walked++ {
		check(walker.Err(), "Walk")
	}
	holds(walked == 6, "what Walk finds")
	check(client.Rename(at("d/one"), at("d/four")), "Rename")
	holds(client.Rename(at("d/four"), at("d/three")) != nil, "the refusal of a rename onto a file")
	check(client.PosixRename(at("d/four"), at("d/three")), "PosixRename")
	check(client.Symlink("three", at("d/soft")), "Symlink")
	target, err := client.ReadLink(at("d/soft"))
	check(err, "ReadLink")
	holds(target == "three", "the link's target")
	check(client.Link(at("d/three"), at("d/hard")), "Link")
	real, err := client.RealPath(at("d/../d/e/."))
	check(err, "RealPath")
	holds(path.Clean(real) == path.Clean(at("d/e")), real)
	space, err := client.StatVFS(at(""))
	check(err, "StatVFS")
	holds(space.TotalSpace() > 0, "the space")
	check(client.RemoveDirectory(at("d/e/f")), "RemoveDirectory")
	holds(client.RemoveDirectory(at("d")) != nil, "the refusal to remove a full folder")
	_, err = client.Stat(at("none"))
	holds(errors.Is(err, os.ErrNotExist), "the error of what is missing")
	_, err = client.Create(at("none/f"))
	holds(errors.Is(err, os.ErrNotExist), "the error of a folder that is missing")
}

func main() {
	log.SetFlags(0)
	top := os.Args[6]
	connection := connect(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	options := []sftp.ClientOption{sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(256)}
	client, err := sftp.NewClient(connection, options...)
	check(err, "starting SFTP")
	at := func(name string) string { return path.Join(top, name) }
	files(client, at)
	folders(client, at)
	check(client.Close(), "closing")
}
