package systemd

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The test binary is its own service: one that says what it was handed, twice, then what a successor in its place finds.
const (
	asService   = "APPLIANCE_TEST_SERVICE"
	asSuccessor = "APPLIANCE_TEST_SUCCESSOR"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asSuccessor) != "":
		fmt.Println("successor", len(Listeners()), os.Getenv("LISTEN_FDS"))
	case os.Getenv(asService) != "":
		service()
	default:
		os.Exit(m.Run())
	}
}

func service() {
	if os.Getenv(asService) == "mine" {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	for _, file := range Listeners() {
		l, err := net.FileListener(file)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(file.Name(), l.Addr())
		conn, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Fprintln(conn, "hello from", file.Name())
		conn.Close()
	}
	fmt.Println("again", len(Listeners()), os.Getenv("LISTEN_FDS")+os.Getenv("LISTEN_PID")+os.Getenv("LISTEN_FDNAMES"))
	os.Setenv(asSuccessor, "1")
	if err := unix.Exec("/proc/self/exe", os.Args, os.Environ()); err != nil {
		fmt.Println(err)
	}
}

func TestListeners(t *testing.T) {
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files, addresses = append(files, file), append(addresses, l.Addr().String())
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, test := range []struct {
		name, pid, count, names string
		want                    string
	}{
		{"by name", "mine", "3", "http:odd:https", fmt.Sprintf("http %s\nhttps %s\nagain 0 \nsuccessor 0 \n", addresses[0], addresses[1])},
		{"without names", "mine", "3", "", fmt.Sprintf("LISTEN_FD_3 %s\nLISTEN_FD_5 %s\nagain 0 \nsuccessor 0 \n", addresses[0], addresses[1])},
		{"of another process", "1", "3", "http:odd:https", "again 0 \nsuccessor 0 \n"},
		{"none", "mine", "0", "", "again 0 \nsuccessor 0 \n"},
		{"nonsense", "mine", "many", "", "again 0 \nsuccessor 0 \n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = []string{"GORACE=atexit_sleep_ms=0", asService + "=" + test.pid, "LISTEN_PID=" + test.pid, "LISTEN_FDS=" + test.count, "LISTEN_FDNAMES=" + test.names}
			cmd.ExtraFiles = []*os.File{files[0], null, files[1]}
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for _, address := range addresses {
				if strings.Contains(test.want, address) {
					greeted(t, address)
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func greeted(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "hello from ") {
		t.Errorf("%q, %v", line, err)
	}
}

// keeper is a service manager that keeps files.
func keeper(t *testing.T, name string) (next func() (state string, files []*os.File)) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return func() (string, []*os.File) {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		state, rights := make([]byte, 4096), make([]byte, 4096)
		n, oob, _, _, err := conn.ReadMsgUnix(state, rights)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := unix.ParseSocketControlMessage(rights[:oob])
		if err != nil {
			t.Fatal(err)
		}
		var files []*os.File
		for _, message := range messages {
			fds, err := unix.ParseUnixRights(&message)
			if err != nil {
				t.Fatal(err)
			}
			for _, fd := range fds {
				files = append(files, os.NewFile(uintptr(fd), "kept"))
			}
		}
		return string(state[:n]), files
	}
}

func TestStoredSocketsOutliveTheirOwner(t *testing.T) {
	dir, err := os.MkdirTemp("", "sd") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{filepath.Join(dir, "notify"), "@appliance-test-" + filepath.Base(dir)} {
		next := keeper(t, name)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		if err := StoreFDs("http", file, file); err != nil {
			t.Fatal(err)
		}
		state, kept := next()
		if state != "FDSTORE=1\nFDNAME=http" || len(kept) != 2 {
			t.Fatalf("%s: %q with %d files", name, state, len(kept))
		}
		accepts(t, l) // its owner's own must go on as before: not block, and end by Close
		file.Close()

		conn, err := net.Dial("tcp", l.Addr().String()) // waits in the backlog
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		again, err := net.FileListener(kept[0])
		if err != nil {
			t.Fatal(err)
		}
		taken, err := again.Accept()
		if err != nil || taken.RemoteAddr().String() != conn.LocalAddr().String() {
			t.Fatalf("%s: a visitor was lost: %v", name, err)
		}
		taken.Close()
		again.Close()
		for _, file := range kept {
			file.Close()
		}

		if err := DropFDs("http"); err != nil {
			t.Fatal(err)
		}
		if state, kept := next(); state != "FDSTOREREMOVE=1\nFDNAME=http" || len(kept) != 0 {
			t.Errorf("%s: %q with %d files", name, state, len(kept))
		}
	}
}

// accepts sees that Close ends a waiting Accept, and then leaves the socket to others.
func accepts(t *testing.T, l net.Listener) {
	t.Helper()
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("Close did not end Accept: the socket blocks now")
	}
}

func TestWhatCannotBeStored(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, test := range []struct {
		name, socket, as string
		files            []*os.File
		want             string
	}{
		{"nobody keeps files", "", "http", []*os.File{null}, ""},
		{"a manager that has gone", "/nowhere/notify", "http", []*os.File{null}, `cannot store the sockets "http": `},
		{"no name", "", "", []*os.File{null}, `cannot store files under the name ""`},
		{"a name with a colon", "", "a:b", []*os.File{null}, `cannot store files under the name "a:b"`},
		{"a name of two lines", "", "a\nREADY=1", []*os.File{null}, `cannot store files under the name "a\nREADY=1"`},
		{"a long name", "", strings.Repeat("a", 256), []*os.File{null}, "cannot store files under the name "},
		{"no files", "", "http", nil, "cannot store 0 files"},
		{"too many", "", "http", make([]*os.File, 254), "cannot store 254 files"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", test.socket)
			err := StoreFDs(test.as, test.files...)
			if (test.want == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Setenv("NOTIFY_SOCKET", "/nowhere/notify")
	if err := DropFDs("http"); err == nil || !strings.HasPrefix(err.Error(), `cannot take back the sockets "http": `) {
		t.Errorf("%v", err)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := DropFDs("http"); err != nil {
		t.Errorf("%v", err)
	}
}
