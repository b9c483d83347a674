package paper

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// need answers where a program of Debian is. Without it the test is skipped, unless APPLIANCE_TOOLS=require says that it
// has to be there.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv("APPLIANCE_TOOLS") != "require" {
		t.Skipf("%s is not installed: apt-get install poppler-utils zbar-tools qpdf img2pdf", program)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run calls a program in dir and answers what it prints.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need(t, program), args...)
	cmd.Dir = dir
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out.Bytes(), problems.Bytes())
	}
	return out.String()
}

// desk is a directory with the printed document in env.pdf.
func desk(t *testing.T, document []byte) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "env.pdf", printed(t, document))
	return dir
}

func put(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// files lists those in dir that match, sorted.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return names
}

func TestOthersReadThePDF(t *testing.T) {
	document := []byte("#cloud-config\nappliance:\n  domain: ecs.example.org # Größe, размер, μέγεθος\n  note: 漢\n" + string(noise(9000)))
	dir := desk(t, document)
	if out := run(t, dir, "qpdf", "--check", "env.pdf"); !strings.Contains(out, "No syntax or stream encoding errors found") {
		t.Error(out)
	}
	if out := run(t, dir, "pdfinfo", "env.pdf"); !strings.Contains(out, "Environment of ecs.example.org") || !strings.Contains(out, "A4") {
		t.Error(out)
	}
	text := run(t, dir, "pdftotext", "-layout", "env.pdf", "-")
	for _, want := range []string{"domain: ecs.example.org # Größe, размер, μέγεθος", "note: U+6F22", "#cloud-config", "document " + id(document)} {
		if !strings.Contains(text, want) {
			t.Errorf("pdftotext does not show %q", want)
		}
	}
	run(t, dir, "pdfdetach", "-saveall", "env.pdf")
	if got := run(t, dir, "gunzip", "-c", "env.yml.gz"); got != string(document) {
		t.Error("the attachment is not the document")
	}
}

func TestTheAttachmentOutlivesRewriting(t *testing.T) {
	document := noise(5000)
	dir := desk(t, document)
	for _, how := range []string{"--object-streams=generate", "--stream-data=uncompress", "--linearize", "--qdf"} {
		t.Run(how, func(t *testing.T) {
			run(t, dir, "qpdf", how, "env.pdf", "other.pdf")
			var r Reader
			add(t, &r, "other.pdf", get(t, dir, "other.pdf"))
			comesBack(t, &r, document)
		})
	}
}

// The largest document is the largest that the predecessor could print. Every page is read twice, as the title page says:
// once in a while zbarimg overlooks a code that it reads the next time.
func TestZbarimgReadsEveryCode(t *testing.T) {
	for _, size := range []int{1, 20_000, 131_199} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			if size > 100_000 && os.Getenv("APPLIANCE_TOOLS") != "require" {
				t.Skip("sixteen pages take half a minute; APPLIANCE_TOOLS=require reads them")
			}
			t.Parallel()
			document := noise(size)
			dir := desk(t, document)
			last := page(len(lines(t, document)))
			run(t, dir, "pdftoppm", "-r", "200", "-png", "-gray", "-f", fmt.Sprint(firstCodePage), "-l", fmt.Sprint(last), "env.pdf", "page")
			var raw, full Reader
			pages := shuffled(files(t, dir, "page-*.png"))
			add(t, &raw, "raw.txt", []byte(run(t, dir, "zbarimg", append([]string{"--nodbus", "-q", "--raw"}, append(pages, pages...)...)...)))
			comesBack(t, &raw, document)
			add(t, &full, "full.txt", []byte(run(t, dir, "zbarimg", "--nodbus", pages[0])))
		})
	}
}

func shuffled(names []string) []string {
	names = slices.Clone(names)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// What the title page tells a person to type in is taken from the page and typed in.
func TestThePrintedCommandsWork(t *testing.T) {
	document := noise(3000)
	dir := desk(t, document)
	need(t, "pdftoppm") // the shell would not skip
	need(t, "zbarimg")
	text := run(t, dir, "pdftotext", "-layout", "-f", "1", "-l", "1", "env.pdf", "-")
	commands := regexp.MustCompile(`(?s)\n *pdftoppm -r.*sha256sum env.yml\n`).FindString(text)
	run(t, dir, "mv", "env.pdf", "scan.pdf")
	out := run(t, dir, "sh", "-ec", commands)
	if got := get(t, dir, "env.yml"); !bytes.Equal(got, document) {
		t.Errorf("%d bytes came back of %d, by\n%s", len(got), len(document), commands)
	}
	if sum, _, _ := strings.Cut(out, " "); sum == "" || !strings.Contains(text, sum) {
		t.Errorf("sha256sum says %q, which does not stand on the page", out)
	}
}
