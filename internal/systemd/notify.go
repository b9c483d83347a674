// Package systemd speaks to the service manager: readiness, status, the watchdog, and what it is about to do to us. It is
// the only package that imports go-systemd. Everything is silent where no service manager listens.
package systemd

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notifier tells the service manager about this process.
type Notifier struct{}

// Ready says that the start is over.
func (Notifier) Ready() { notify(daemon.SdNotifyReady) }

// maxStatus is how much of a status line is told, in bytes: systemd drops a message of more than 4096 as a whole.
const maxStatus = 2048

// Status gives the one line that `systemctl status` shows.
func (Notifier) Status(line string) {
	if len(line) > maxStatus {
		line = strings.ToValidUTF8(line[:maxStatus], "") + "…"
	}
	notify("STATUS=" + strings.ReplaceAll(line, "\n", " "))
}

// Extend asks for d more before a start, reload or stop counts as hung.
func (Notifier) Extend(d time.Duration) {
	notify("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// Stopping says that the end has begun.
func (Notifier) Stopping() { notify(daemon.SdNotifyStopping) }

// Reloading says that we are reading our configuration again; Ready ends it.
func (Notifier) Reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Alive feeds the watchdog.
func (Notifier) Alive() { notify(daemon.SdNotifyWatchdog) }

// WatchdogInterval is how often Alive must be said; 0 when nobody watches.
func (Notifier) WatchdogInterval() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0 // a broken variable: better unwatched than dead
	}
	return interval / 2
}

func notify(state string) {
	_, _ = daemon.SdNotify(false, state) // a service manager that went away is no reason to stop
}

// StopUnit asks the service manager to stop the unit of this process, and says whether there is one. The order to end
// then comes back as SIGTERM.
func (Notifier) StopUnit(ctx context.Context) (bool, error) {
	if !Managed() {
		return false, nil
	}
	return true, stopOwnUnit(ctx)
}

// Managed says whether this process is the one that a service manager started, and not a child of it that inherited its
// environment.
func Managed() bool {
	return os.Getenv("NOTIFY_SOCKET") != "" && os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid())
}
