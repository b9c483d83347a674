package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// Facts are what the numbers depend on.
type Facts struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Engine string `json:"engine"`
	Go     string `json:"go"`
	Load   string `json:"load"` // averages over 1, 5 and 15 minutes before the first measurement
}

func (f Facts) String() string {
	return fmt.Sprintf("%s, %d cores, Linux %s, engine %s, %s, load %s", f.CPU, f.Cores, f.Kernel, f.Engine, f.Go, f.Load)
}

// gatherFacts looks around. A fact that cannot be had reads "unknown": it changes no number.
func gatherFacts(ctx context.Context) Facts {
	load := strings.Fields(readText("/proc/loadavg"))
	engine, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Output()
	if err != nil {
		engine = []byte("unknown")
	}
	return Facts{
		CPU: field(readText("/proc/cpuinfo"), "model name"), Cores: runtime.NumCPU(), Go: runtime.Version(),
		Kernel: strings.TrimSpace(readText("/proc/sys/kernel/osrelease")), Engine: strings.TrimSpace(string(engine)),
		Load: strings.Join(load[:min(3, len(load))], " "),
	}
}

func readText(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return string(data)
}

// field is the value of the first "name : value" line.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// memory is what a process holds, in MB of 1,000,000 bytes.
type memory struct {
	anonymous float64 // its own: no file gives it back
	resident  float64
}

// memoryOf reads what the kernel counts for a process.
func memoryOf(pid int) (memory, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, fmt.Errorf("cannot read the memory of process %d: %w", pid, err)
	}
	return parseRollup(data)
}

func parseRollup(data []byte) (memory, error) {
	var m memory
	wanted := map[string]*float64{"Anonymous:": &m.anonymous, "Rss:": &m.resident}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 3 || words[2] != "kB" || wanted[words[0]] == nil {
			continue
		}
		kib, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return m, fmt.Errorf("cannot read a line of smaps_rollup: %w", err)
		}
		*wanted[words[0]] = kib * 1024 / 1e6
		delete(wanted, words[0])
	}
	if len(wanted) > 0 {
		return m, fmt.Errorf("cannot find Rss and Anonymous in smaps_rollup: %q", data)
	}
	return m, lines.Err()
}
