package acceptance

import (
	"fmt"
	"strings"
	"time"
)

// neverRefused knocks all the time while the supervisor is killed, restarted, replaced and upgraded. One that the kill
// hits in the middle of an answer may lose it; everybody else gets the site, if a little later.
func neverRefused(b *box) {
	const knock = `while test -e /run/knock; do
	curl --silent --output /dev/null --insecure --max-time 30 --write-out '%{exitcode} %{http_code}\n' https://127.0.0.1/
	sleep 0.02
done >/run/knocked`
	b.WriteFile("/run/knock", nil, 0o644)
	b.Run("systemd-run", "--quiet", "--unit", "knock", "sh", "-c", knock)
	for _, change := range []struct {
		argv    []string
		inPlace bool
	}{
		{[]string{"kill", "-KILL", b.pid()}, false},
		{[]string{"systemctl", "restart", "appliance"}, false},
		{[]string{"appliance", "reload", "--exec"}, true},
		{[]string{"dpkg", "-i", "/root/appliance.deb"}, true},
	} {
		pid := b.pid()
		b.Run(change.argv...)
		b.Eventually(30*time.Second, "a supervisor", func() bool { now := b.pid(); return now != "0" && (now != pid) != change.inPlace })
		b.awaitHealthy()
	}
	b.Run("rm", "/run/knock")
	b.Eventually(time.Minute, "an end of the knocking", func() bool {
		_, _, code := b.Try(b.t.Context(), "systemctl", "is-active", "--quiet", "knock")
		return code != 0
	})
	answers := map[string]int{}
	for line := range strings.Lines(string(b.ReadFile("/run/knocked"))) {
		answers[strings.TrimSpace(line)]++
	}
	b.t.Logf("answers, by curl's exit status and that of HTTP: %v", answers)
	if answers["0 200"] == 0 {
		b.t.Error("nobody got the site")
	}
	const refused = "7 000"
	if answers[refused] > 0 {
		b.t.Errorf("%d were refused", answers[refused])
	}
	delete(answers, "0 200")
	lost := 0
	for _, n := range answers {
		lost += n
	}
	if lost > 4 { // one for each way to end a process at once
		b.t.Errorf("%d got no answer: %v", lost, answers)
	}
}

func withoutRights(b *box) {
	processes := b.Run("ps", "-C", "appliance-front", "-o", "user:20=,args=")
	if !strings.HasPrefix(processes, "appliance-front      appliance front-worker") {
		b.t.Errorf("the worker runs as somebody else:\n%s", processes)
	}
	if precedence := strings.TrimSpace(b.Run("sh", "-c", "cat /proc/$(pgrep --oldest --exact appliance-front)/oom_score_adj")); precedence != "0" {
		b.t.Errorf("when memory runs out the worker has the precedence %s", precedence)
	}
}

// bySocketUnit has systemd open the ports: whoever comes before there is even an engine waits.
func bySocketUnit(b *box) {
	b.Run("systemctl", "enable", "appliance.socket")
	b.Reboot()
	b.awaitHealthy()
	if sockets := b.Run("systemctl", "show", "--property", "SubState", "--value", "appliance.socket"); strings.TrimSpace(sockets) != "running" {
		b.t.Errorf("the socket unit is %s", sockets)
	}
	since := func(unit, property string) string {
		return strings.TrimSpace(b.Run("systemctl", "show", "--property", property, "--value", unit))
	}
	b.t.Log(fmt.Sprintf("sockets open at %s, the supervisor started at %s (microseconds since boot)",
		since("appliance.socket", "ActiveEnterTimestampMonotonic"), since("appliance", "ExecMainStartTimestampMonotonic")))
	before := b.containers()
	b.Run("kill", "-KILL", b.pid())
	b.Eventually(30*time.Second, "an answer", func() bool { code, _ := b.visit("/healthz"); return code == 200 })
	b.untouched(before)
	b.Run("systemctl", "disable", "appliance.socket")
	b.Run("systemctl", "stop", "appliance.socket", "appliance.service")
	if code, _ := b.visit("/"); code != 0 {
		b.t.Errorf("after a stop somebody answers %d", code)
	}
	b.Run("systemctl", "start", "appliance")
	b.awaitHealthy()
}
