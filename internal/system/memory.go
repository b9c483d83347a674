package system

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FreeMemory gives back what a burst of work took and waiting does not need: unused heap, and the pages of the program that are
// mapped in. Those stay in the kernel's cache as long as it has room for them, and come back as they are used.
func FreeMemory() error {
	debug.FreeOSMemory()
	return FreeProgram()
}

// FreeProgram gives back the pages of the program alone: for one that has just started, to look for unused heap would take more.
func FreeProgram() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("cannot free memory: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("cannot free memory: %w", err)
	}
	for line := range bytes.Lines(maps) {
		from, to, ok := unchanging(string(line), exe)
		if !ok {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			err = errors.Join(err, fmt.Errorf("cannot free memory: %w", errno))
		}
	}
	return err
}

// unchanging answers the addresses of a mapping of the program's file that nobody can have written to: what is dropped of it
// is read again.
func unchanging(line, exe string) (from, to uintptr, ok bool) {
	fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 6) // 400000-1170000 r-xp 00000000 fe:01 1234     /usr/bin/appliance
	if len(fields) < 6 || strings.TrimSpace(fields[5]) != exe || !strings.HasPrefix(fields[1], "r-") || !strings.HasSuffix(fields[1], "p") {
		return 0, 0, false
	}
	begin, end, _ := strings.Cut(fields[0], "-")
	low, err := strconv.ParseUint(begin, 16, 64)
	high, endErr := strconv.ParseUint(end, 16, 64)
	return uintptr(low), uintptr(high), err == nil && endErr == nil
}
