package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/e2e/netns"
)

// Limits of waiting. They bound a test that would hang; nothing is measured with them.
const (
	readyWithin = 60 * time.Second
	stopWithin  = 60 * time.Second
	pollEvery   = 5 * time.Millisecond
	probeWithin = time.Second
)

// Options describe a process.
type Options struct {
	Part   string      // server (when empty), node, gateway
	Dir    string      // data directory; a new one when empty
	Drives int         // drives in Dir/d0, Dir/d1, …; 0 is the program's own default
	Args   []string    // further arguments
	Env    []string    // further variables
	Host   *netns.Host // where it runs; nil is this machine's loopback
	Output string      // file that all it prints is added to; none when empty

	// Credentials is a file with the root credential, for a process whose data directory
	// has none.
	Credentials string
}

// Process is one process of the program, running or not. Its methods are for one
// goroutine, but clients may be used from many.
type Process struct {
	t      testing.TB
	o      Options
	s3     string
	admin  string
	p2p    [3]string // peers, shard transfers, joining
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	err    error         // of cmd, once ended is closed
	known  bool          // the test asked for the end of cmd, or was told of it
	stdout *output
	stderr *output
	manage *http.Client // of management, made when first used
	clock  string       // file that says how wrong its clock is, where it can be
}

// New prepares a process without starting it. It is killed when the test ends, and its
// output is shown when the test failed.
func New(t testing.TB, o Options) *Process {
	t.Helper()
	p := &Process{t: t, o: o}
	p.takeAddrs()
	if p.o.Part == "" {
		p.o.Part = "server"
	}
	if p.o.Dir == "" {
		p.o.Dir = filepath.Join(t.TempDir(), "data")
	}
	if clocks {
		p.clock = filepath.Join(t.TempDir(), "clock")
	}
	t.Cleanup(func() {
		p.Kill()
		p.reportRaces()
		if t.Failed() && p.stderr != nil {
			t.Logf("%s printed:\n%s%s", p.o.Part, p.stdout, p.stderr)
		}
	})
	return p
}

// takeAddrs chooses the addresses: free ports of loopback, or those of its host. A host
// reaches S3 and management on its own loopback, which no fault of the network touches.
func (p *Process) takeAddrs() {
	if h := p.o.Host; h != nil {
		p.s3, p.admin = "127.0.0.1:9000", "127.0.0.1:9001"
		p.p2p = [3]string{h.Addr() + ":4001", h.Addr() + ":4002", h.Addr() + ":4003"}
		return
	}
	p.s3, p.admin = FreeAddr(p.t), FreeAddr(p.t)
	p.p2p = [3]string{FreeAddr(p.t), FreeAddr(p.t), FreeAddr(p.t)}
}

// Start prepares and starts a process and waits until it is ready.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	p := New(t, o)
	p.Start()
	p.WaitReady()
	return p
}

// Part is what the process is: server, node or gateway.
func (p *Process) Part() string { return p.o.Part }

// Host is where it runs, nil on loopback.
func (p *Process) Host() *netns.Host { return p.o.Host }

// Dir is the data directory.
func (p *Process) Dir() string { return p.o.Dir }

// Drive is the directory of the drive of that index, where Options.Drives was given.
func (p *Process) Drive(i int) string { return filepath.Join(p.o.Dir, fmt.Sprintf("d%d", i)) }

// Endpoint is the URL of the S3 API.
func (p *Process) Endpoint() string { return "http://" + p.s3 }

// AdminAddr is the address of management.
func (p *Process) AdminAddr() string { return p.admin }

// P2PAddr is the address for peers.
func (p *Process) P2PAddr() string { return p.p2p[0] }

// PeerAddrs are the addresses for peers: control, shard transfers and joining.
func (p *Process) PeerAddrs() [3]string { return p.p2p }

// SetArgs replaces the further arguments, from the next start on.
func (p *Process) SetArgs(args ...string) { p.o.Args = args }

// SetEnv replaces the further variables, from the next start on.
func (p *Process) SetEnv(vars ...string) { p.o.Env = vars }

func (p *Process) args() []string {
	args := []string{p.o.Part, "--data", p.o.Dir, "--admin", p.admin, "--p2p", p.p2p[0]}
	if p.o.Part != "gateway" {
		args = append(args, "--p2p-bulk", p.p2p[1], "--p2p-join", p.p2p[2])
	}
	if p.o.Part != "node" {
		args = append(args, "--s3", p.s3)
	}
	for i := range p.o.Drives {
		args = append(args, "--drive", p.Drive(i))
	}
	return append(args, p.o.Args...)
}

// Start starts the process and does not wait for it.
func (p *Process) Start() {
	p.t.Helper()
	if p.Running() {
		p.t.Fatal("the process runs already")
	}
	p.reportRaces()
	p.reportEnd()
	p.known = false
	p.stdout, p.stderr = new(output), new(output)
	cmd := exec.Command(program, p.args()...)
	cmd.Env = append(cleanEnv(), p.o.Env...)
	if p.clock != "" {
		cmd.Env = append(cmd.Env, "SHOAL_TEST_CLOCK="+p.clock)
	}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	if p.o.Output != "" {
		f, err := os.OpenFile(p.o.Output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { f.Close() })
		cmd.Stdout, cmd.Stderr = io.MultiWriter(p.stdout, f), io.MultiWriter(p.stderr, f)
	}
	cmd.SysProcAttr = processAttributes()
	if err := p.o.Host.Start(cmd); err != nil {
		p.t.Fatalf("start the program: %v", err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		p.err = cmd.Wait()
		close(ended)
	}()
}

// reportRaces fails the test when a program built with the race detector found one.
func (p *Process) reportRaces() {
	p.t.Helper()
	if p.stderr == nil {
		return
	}
	if text := p.stderr.String(); strings.Contains(text, "WARNING: DATA RACE") {
		p.t.Errorf("the program has a data race:\n%s", text)
	}
}

// reportEnd fails the test when the process has ended and nobody asked it to.
func (p *Process) reportEnd() {
	p.t.Helper()
	if p.cmd == nil || p.known || p.Running() {
		return
	}
	p.known = true
	p.t.Errorf("the %s ended by itself: %v\n%s", p.o.Part, p.err, p.stderr)
}

// Running says whether the process was started and has not ended.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// PID is the process ID of the running process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// WaitReady waits until the process says that it serves. It fails the test when the
// process ends before.
func (p *Process) WaitReady() {
	p.t.Helper()
	if err := p.Ready(); err != nil {
		p.t.Fatalf("%v\n%s", err, p.stderr)
	}
}

// Ready waits until the process says that it serves, has ended, or the time is up.
func (p *Process) Ready() error {
	ctx, cancel := context.WithTimeout(p.t.Context(), readyWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		last := p.ready(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			p.known = true
			return fmt.Errorf("the process ended before it was ready: %v", p.err)
		case <-ctx.Done():
			return fmt.Errorf("not ready within %v: %w", readyWithin, last)
		}
	}
}

func (p *Process) ready(ctx context.Context) error { return p.health(ctx, "ready") }

// Redundant is nil once the process says that everything stored in the cluster has the
// redundancy that it was promised.
func (p *Process) Redundant() error { return p.health(p.t.Context(), "cluster") }

// health asks one of the health pages.
func (p *Process) health(ctx context.Context, page string) error {
	status, text, err := p.page(ctx, "/health/"+page)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("/health/%s answers %d: %s", page, status, strings.TrimSpace(text))
	}
	return err
}

// Page gets a page of the management port that anyone may read, of at most 1 MiB.
func (p *Process) Page(path string) (status int, text string, err error) {
	return p.page(p.t.Context(), path)
}

func (p *Process) page(ctx context.Context, path string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := p.management().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(b), err
}

// Kill ends the process as a power cut would end it, as far as a process can, and waits
// until it is gone. It does nothing when it does not run, but fails the test when nobody
// had asked it to end.
func (p *Process) Kill() {
	p.t.Helper()
	if !p.Running() {
		p.reportEnd()
		return
	}
	p.known = true
	// The error would say that it has ended by itself, which is as good.
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Pause stops the process where it stands; its connections stay. Resume lets it go on.
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// SetClock makes the wall clock of the process wrong by that much, in whole seconds, from now on
// and after its next starts: 0 sets it right. As on a machine whose clock is set, time goes on as
// before.
func (p *Process) SetClock(by time.Duration) error {
	if err := CanShiftClocks(); err != nil {
		return err
	}
	fresh := p.clock + ".new"
	if err := os.WriteFile(fresh, []byte(by.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, p.clock)
}

// Stop asks the process to end and gives its exit code.
func (p *Process) Stop() int {
	p.t.Helper()
	p.reportEnd()
	p.known = true
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("stop: %v", err)
	}
	return p.Wait()
}

// Wait waits for the end of the process and gives its exit code, -1 after a signal.
func (p *Process) Wait() int {
	p.t.Helper()
	p.known = true
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.t.Fatalf("the process did not end within %v", stopWithin)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Restart stops the process and starts it again.
func (p *Process) Restart() {
	p.t.Helper()
	if code := p.Stop(); code != 0 {
		p.t.Fatalf("exit code %d after SIGTERM\n%s", code, p.stderr)
	}
	p.Start()
	p.WaitReady()
}

// Stdout is what the last start printed, bounded.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr is what the last start printed as errors, bounded.
func (p *Process) Stderr() string { return p.stderr.String() }
