package systemd

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// manager is the service manager's end of the notification socket.
func manager(t *testing.T) (next func() string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return func() string {
		t.Helper()
		buf := make([]byte, 1<<16)
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestNotifications(t *testing.T) {
	next := manager(t)
	var n Notifier
	for _, test := range []struct {
		name string
		say  func()
		want string
	}{
		{"ready", n.Ready, "READY=1"},
		{"status", func() { n.Status("run: healthy") }, "STATUS=run: healthy"},
		{"a status of several lines is one", func() { n.Status("failed:\nREADY=1\nsecond") }, "STATUS=failed: READY=1 second"},
		{"more time", func() { n.Extend(75 * time.Second) }, "EXTEND_TIMEOUT_USEC=75000000"},
		{"stopping", n.Stopping, "STOPPING=1"},
		{"alive", n.Alive, "WATCHDOG=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.say()
			if diff := cmp.Diff(test.want, next()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// systemd ignores a message of more than 4096 bytes as a whole.
func TestALongStatusIsCutRatherThanLost(t *testing.T) {
	next := manager(t)
	Notifier{}.Status("failed: " + strings.Repeat("ü", 5000))
	got := next()
	if len(got) > 4096 || !strings.HasPrefix(got, "STATUS=failed: üüü") || !strings.HasSuffix(got, "ü…") {
		t.Errorf("%d bytes, ending with %q", len(got), got[len(got)-10:])
	}
}

func TestReloadingTellsTheTime(t *testing.T) {
	next := manager(t)
	before := monotonic(t)
	Notifier{}.Reloading()
	match := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)$`).FindStringSubmatch(next())
	if match == nil {
		t.Fatal("the message is not what sd_notify(3) asks for")
	}
	usec, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil || usec < before || usec > monotonic(t) {
		t.Errorf("the time is %s, before it was %d, and now it is %d", match[1], before, monotonic(t))
	}
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestWithoutAManagerNothingIsSaid(t *testing.T) {
	for _, socket := range []string{"", "/nowhere/notify"} {
		t.Setenv("NOTIFY_SOCKET", socket)
		Notifier{}.Ready() // must neither panic nor wait
		Notifier{}.Reloading()
	}
}

func TestWatchdogInterval(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, test := range []struct {
		name, usec, pid string
		want            time.Duration
	}{
		{"nobody watches", "", "", 0},
		{"half of what is allowed", "30000000", self, 15 * time.Second},
		{"for every process", "30000000", "", 15 * time.Second},
		{"for another process", "30000000", "1", 0},
		{"nonsense", "soon", self, 0},
		{"zero", "0", self, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", test.usec)
			t.Setenv("WATCHDOG_PID", test.pid)
			for name, value := range map[string]string{"WATCHDOG_USEC": test.usec, "WATCHDOG_PID": test.pid} {
				if value == "" {
					os.Unsetenv(name) // Setenv puts it back at the end
				}
			}
			if got := (Notifier{}).WatchdogInterval(); got != test.want {
				t.Errorf("it is %s, want %s", got, test.want)
			}
		})
	}
}

func TestManagedAndStopping(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, test := range []struct {
		name, pid, socket string
		want              bool
	}{
		{"from a shell", "", "", false},
		{"no notify socket", own, "", false},
		{"a child of a service", "1", "/run/systemd/notify", false},
		{"a service", own, "/run/systemd/notify", true},
	} {
		t.Setenv("SYSTEMD_EXEC_PID", test.pid)
		t.Setenv("NOTIFY_SOCKET", test.socket)
		if got := Managed(); got != test.want {
			t.Errorf("%s: managed is %v", test.name, got)
		}
		if test.want {
			continue
		}
		if stopping, err := Stopping(t.Context()); !stopping || err != nil {
			t.Errorf("%s: nobody would start it again, but stopping is %v, %v", test.name, stopping, err)
		}
		if ending, err := Ending(t.Context()); ending || err != nil {
			t.Errorf("%s: nobody has ordered an end, but ending is %v, %v", test.name, ending, err)
		}
		if managed, err := (Notifier{}).StopUnit(t.Context()); managed || err != nil {
			t.Errorf("%s: StopUnit answers %v, %v", test.name, managed, err)
		}
	}
}
