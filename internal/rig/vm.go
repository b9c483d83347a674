package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// vmBootTimeout is several times what a boot takes in emulation when nobody else wants the processors.
const vmBootTimeout = 10 * time.Minute

// VM is a virtual machine: the same Debian as a Machine, with a kernel and a disk of its own, in QEMU's emulation and thus
// slow: a boot takes half a minute when nobody else wants the processors. Its power cuts lose what was not synced. Its
// methods fail the test it belongs to when they cannot do what they say, and may be used from one goroutine at a time.
type VM struct {
	t    testing.TB
	qemu *qemu
}

// BootVM starts a virtual machine, which lives as long as the test, and returns when systemd has brought it up without a
// failed unit. The first BootVM of a Spec builds its disk. It skips the test unless APPLIANCE_VM=require is in the
// environment. A Spec's Disks are of no use here: there is no overlay file system to avoid.
func BootVM(t testing.TB, s Spec) *VM {
	t.Helper()
	if os.Getenv("APPLIANCE_VM") != "require" {
		t.Skip("virtual machines are slow: `make vm-test` boots them, or APPLIANCE_VM=require")
	}
	if reason := vmUnavailable(); reason != "" {
		t.Fatalf("cannot boot a virtual machine: %s", reason)
	}
	base := baseDir()
	disk, err := ensureDisk(t, base, s)
	if err != nil {
		t.Fatalf("cannot build the disk of %s: %v", s.Suite, err)
	}
	v := &VM{t: t, qemu: newQEMU(t, base, disk)}
	v.qemu.arguments, v.qemu.tpm = s.Arguments, s.TPM
	t.Cleanup(func() {
		if t.Failed() {
			v.dump()
		}
		v.qemu.kill()
	})
	v.PowerOn()
	if state := v.AwaitBooted(); state != "running" {
		t.Fatalf("virtual machine is %s:\n%s", state, v.Run("systemctl", "list-units", "--failed", "--plain", "--no-legend"))
	}
	return v
}

func vmUnavailable() string {
	if reason := unavailable(); reason != "" {
		return reason
	}
	for _, program := range []string{"qemu-system-x86_64", "qemu-img", "mkfs.ext4"} {
		if _, err := exec.LookPath(program); err != nil {
			return "no " + program + " in PATH"
		}
	}
	return ""
}

// For returns the same virtual machine for use in a subtest, which then is the one that fails.
func (v *VM) For(t testing.TB) *VM { return &VM{t: t, qemu: v.qemu} }

// PowerCut ends the emulator at once. The guest's memory is gone, with it what it had not yet written; what its disk was
// told to flush is there.
func (v *VM) PowerCut() {
	v.t.Helper()
	v.qemu.kill()
}

// Attach gives a virtual machine that is off a disk that begins as a copy of an image of the host, and returns its device.
func (v *VM) Attach(image string) (device string) {
	v.t.Helper()
	device = fmt.Sprintf("vd%c", 'b'+len(v.qemu.drives)) // vda has the root file system
	disk := filepath.Join(v.qemu.dir, device+".raw")
	if err := hostCommand(v.t.Context(), "cp", "--", image, disk); err != nil {
		v.t.Fatalf("cannot attach a disk: %v", err)
	}
	v.qemu.drives = append(v.qemu.drives, disk)
	return "/dev/" + device
}

// DiskFile is the file of the host behind a device that Attach returned, every sector of it.
func (v *VM) DiskFile(device string) string {
	return filepath.Join(v.qemu.dir, strings.TrimPrefix(device, "/dev/")+".raw")
}

// PowerOn starts a virtual machine that is off and returns as soon as commands can be run in it, while units still start.
func (v *VM) PowerOn() {
	v.t.Helper()
	begun := time.Now()
	if err := v.qemu.start(); err != nil {
		v.t.Fatalf("cannot power on: %v", err)
	}
	v.Eventually(vmBootTimeout, "the virtual machine to answer", func() bool {
		select {
		case <-v.qemu.ended:
			v.t.Fatal("the emulator has ended")
		default:
		}
		return v.BootID() != ""
	})
	v.t.Logf("virtual machine answers %s after power on", since(begun))
}

// AwaitBooted waits until systemd has finished booting and returns its state: running, or degraded when a unit has failed.
func (v *VM) AwaitBooted() string {
	v.t.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(v.t.Context(), vmBootTimeout)
	defer cancel()
	state, _, _ := v.Try(ctx, "systemctl", "is-system-running", "--wait")
	state = strings.TrimSpace(state)
	v.t.Logf("systemd %s after another %s; %s", state, since(begun), v.Run("systemd-analyze", "time"))
	return state
}

// BootID returns the id of the present boot, and nothing while the virtual machine is off or not yet up.
func (v *VM) BootID() string {
	ctx, cancel := context.WithTimeout(v.t.Context(), 10*time.Second) // QEMU takes connections before the guest does
	defer cancel()
	stdout, _, _ := v.Try(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(stdout)
}

// qemu is an emulator with what survives it: a disk.
type qemu struct {
	base baseDisk
	dir  string    // of the disk and the console's log
	cmd  *exec.Cmd // nil while the power is off
	port int       // on 127.0.0.1, leads to the guest's program

	ended  <-chan struct{} // closed when the emulator has ended, by whatever
	tpmCmd *exec.Cmd

	drives    []string // further disks, by their files
	arguments string   // of the kernel, beside ours
	tpm       bool     // its state is kept beside the disk
}

// newQEMU makes a disk that begins as base and keeps the differences.
func newQEMU(t testing.TB, dir string, base baseDisk) *qemu {
	t.Helper()
	dir, release, err := claimDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer release()
		if err := discard(dir); err != nil {
			t.Errorf("cannot discard the virtual machine: %v", err)
		}
	})
	q := &qemu{base: base, dir: dir}
	if err := hostCommand(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base.image(), q.disk()); err != nil {
		t.Fatal(err)
	}
	return q
}

func (q *qemu) disk() string    { return filepath.Join(q.dir, "disk.qcow2") }
func (q *qemu) console() string { return filepath.Join(q.dir, "console.log") }

func (q *qemu) start() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	q.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil { // the emulator cannot tell which port it took, so it is told one
		return err
	}
	if err := q.startTPM(); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(q.dir, "qemu.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("qemu-system-x86_64", q.args()...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it is not to outlive the tests
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // most often it says only that it was killed
		close(ended)
	}()
	q.cmd, q.ended = cmd, ended
	return nil
}

// args: cx16 is off because QEMU stops all processors for each such instruction where the host's has none. cache=none
// passes the guest's flushes on and lets everything before them be lost, as a disk with a cache of its own does. A kernel that
// panics, as they do now and then in emulation, boots again instead of letting a test wait for its limit.
func (q *qemu) args() []string {
	args := []string{
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", "2", "-m", "2048",
		"-nodefaults", "-no-user-config", "-display", "none", "-device", "virtio-rng-pci",
		"-chardev", "file,id=console,append=on,path=" + q.console(), "-serial", "chardev:console",
		"-drive", "if=virtio,format=qcow2,cache=none,file=" + q.disk(),
		"-netdev", "user,id=net,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:" + strconv.Itoa(q.port) + "-10.0.2.15:5000",
		"-device", "virtio-net-pci,netdev=net",
		"-kernel", q.base.kernel(), "-initrd", q.base.initrd(),
		"-append", "root=/dev/vda rw console=ttyS0 panic=1 mitigations=off systemd.show_status=0 " + q.arguments,
	}
	for _, drive := range q.drives {
		args = append(args, "-drive", "if=virtio,format=raw,cache=none,file="+drive)
	}
	if q.tpm {
		args = append(args, "-chardev", "socket,id=tpm,path="+q.tpmSocket(), "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0")
	}
	return args
}

func (q *qemu) tpmSocket() string { return filepath.Join(q.dir, "tpm.sock") }

// startTPM starts a TPM 2.0 for one run of the emulator, which can connect to it when this returns.
func (q *qemu) startTPM() error {
	if !q.tpm {
		return nil
	}
	state := filepath.Join(q.dir, "tpm")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--ctrl", "type=unixio,path="+q.tpmSocket())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	q.tpmCmd = cmd
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.Stat(q.tpmSocket()); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot start a TPM: it does not listen at %s", q.tpmSocket())
		}
		time.Sleep(pollEvery)
	}
}

// kill ends the emulator at once, and then the TPM: it goes before the next one begins, whose socket it would take away.
func (q *qemu) kill() {
	if q.cmd != nil {
		_ = q.cmd.Process.Kill() // it may have ended by itself
		<-q.ended
		q.cmd = nil
	}
	if q.tpmCmd != nil {
		_ = q.tpmCmd.Process.Signal(syscall.SIGTERM)
		_ = q.tpmCmd.Wait()          // says only that it was told to
		_ = os.Remove(q.tpmSocket()) // most often it has done so
		q.tpmCmd = nil
	}
}
