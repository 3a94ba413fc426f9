package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"shoal/e2e/netns"
)

const (
	readyWithin = 2 * time.Minute
	stopWithin  = time.Minute
	pollEvery   = time.Millisecond
	probeWithin = 5 * time.Second
	// outputKept is how much of the end of a process's errors is shown when it fails, in bytes.
	outputKept = 4 << 10
)

// process is one running process of the program.
type process struct {
	cmd    *exec.Cmd
	began  time.Time
	ended  chan struct{} // closed when the process has ended
	err    error         // of the process, once ended is closed
	errors *tail
}

// tail keeps the end of what is written to it. Its owner reads it after the writer has ended.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if extra := len(t.b) - outputKept; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

// start starts a program on a host. It must be called from the main goroutine, which is bound to
// the main thread: the kernel ends children with the thread that made them.
func start(host *netns.Host, program string, args ...string) (*process, error) {
	p := &process{ended: make(chan struct{}), errors: new(tail)}
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = environment()
	p.cmd.Stderr = p.errors
	p.cmd.SysProcAttr = processAttributes()
	p.began = time.Now()
	if err := host.Start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// environment is that of this process without settings of the store.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SHOAL_") {
			env = append(env, v)
		}
	}
	return env
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process with a signal and waits for it. It may be called again.
func (p *process) stop(sig os.Signal) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-p.ended:
		if sig == syscall.SIGTERM && p.err != nil {
			return fmt.Errorf("the process did not end well: %w: %s", p.err, p.errors.b)
		}
		return nil
	case <-timer.C:
		err := p.cmd.Process.Kill()
		<-p.ended
		return errors.Join(fmt.Errorf("the process did not end within %v", stopWithin), err)
	}
}

// await polls until done says so, the process has ended or the time is up.
func (p *process) await(ctx context.Context, done func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := done(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("the process ended before it was ready: %v: %s", p.err, p.errors.b)
		case <-ctx.Done():
			return fmt.Errorf("not ready in time: %w", err)
		}
	}
}

// freeAddr gives an address on loopback where nothing listens, below the ports that the
// kernel gives to outgoing connections.
func freeAddr() (string, error) {
	const first, last = 22000, 32000
	base := os.Getpid() * 37 % (last - first)
	for i := range last - first {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+(base+i)%(last-first)))
		if _, used := givenAddrs[addr]; used {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		givenAddrs[addr] = struct{}{}
		return addr, l.Close()
	}
	return "", errors.New("no free port on loopback")
}

// givenAddrs are the addresses that freeAddr gave. Only the main goroutine asks for them.
var givenAddrs = make(map[string]struct{})

// server is a store under load: the program in one process, on one data directory.
type server struct {
	host    *netns.Host  // where it runs; nil is loopback
	site    string       // "" is the default one
	http    *http.Client // of the management address
	program string
	dir     string
	s3      string
	admin   string
	p2p     [3]string // peers, shard transfers, joining
	args    []string  // further arguments
	part    string    // server, node or gateway
	sign    *signer
	others  []*server // those whose time and memory count too: the rest of a cluster
	*process
}

// newServer prepares a server without starting it.
func newServer(program, dir string, args []string) (*server, error) {
	s := &server{program: program, dir: dir, args: args, part: "server", http: http.DefaultClient}
	for _, addr := range []*string{&s.s3, &s.admin, &s.p2p[0], &s.p2p[1], &s.p2p[2]} {
		var err error
		if *addr, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// on puts a server that was not started yet on a host, where it has all ports for itself. Requests enter by the host's own loopback.
func (s *server) on(h *netns.Host) {
	s.host, s.s3, s.admin = h, "127.0.0.1:9000", "127.0.0.1:9001"
	s.p2p = [3]string{h.Addr() + ":4001", h.Addr() + ":4002", h.Addr() + ":4003"}
	s.http = &http.Client{Transport: &http.Transport{DialContext: h.Dial}}
}

// client is a connection to the server, not dialled yet.
func (s *server) client() *client {
	c := newClient(s.s3, s.sign)
	c.host = s.host
	return c
}

// start starts the server, waits until it is ready and gives how long that took.
func (s *server) start(ctx context.Context) (time.Duration, error) {
	p, err := start(s.host, s.program, s.arguments()...)
	if err != nil {
		return 0, err
	}
	s.process = p
	if err := p.await(ctx, s.ready); err != nil {
		return 0, errors.Join(err, p.stop(syscall.SIGKILL))
	}
	took := time.Since(p.began)
	if s.sign == nil {
		if s.sign, err = readCredentials(filepath.Join(s.dir, "root.credentials")); err != nil {
			return 0, errors.Join(err, p.stop(syscall.SIGKILL))
		}
	}
	return took, nil
}

// arguments are those of its command line.
func (s *server) arguments() []string {
	args := []string{s.part, "--data", s.dir, "--admin", s.admin, "--p2p", s.p2p[0]}
	if s.part != "gateway" {
		args = append(args, "--p2p-bulk", s.p2p[1], "--p2p-join", s.p2p[2])
	}
	if s.part != "node" {
		args = append(args, "--s3", s.s3)
	}
	return append(args, s.args...)
}

// all are the processes that serve what is asked of this one.
func (s *server) all() []*server { return append([]*server{s}, s.others...) }

// end ends the server if it runs.
func (s *server) end() error {
	if s.process == nil {
		return nil
	}
	return s.process.stop(syscall.SIGTERM)
}

// page asks for a page of the management address. Whoever gets it closes its body.
func (s *server) page(ctx context.Context, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+path, nil)
	if err != nil {
		return nil, err
	}
	return s.http.Do(r)
}

// ready fails unless the process serves requests.
func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	a, err := s.page(ctx, "/health/ready")
	if err != nil {
		return err
	}
	if err := a.Body.Close(); err != nil {
		return err
	}
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("health says %s", a.Status)
	}
	return nil
}

// readCredentials reads the file that the first start of a server made.
func readCredentials(name string) (*signer, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	s := &signer{region: "us-east-1", file: name}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case "aws_access_key_id":
			s.id = strings.TrimSpace(value)
		case "aws_secret_access_key":
			s.secret = strings.TrimSpace(value)
		}
	}
	if s.id == "" || s.secret == "" {
		return nil, fmt.Errorf("%s has no credential", name)
	}
	return s, nil
}

// counters reads single numbers from the metrics.
func (s *server) counters(ctx context.Context, names ...string) (map[string]float64, error) {
	a, err := s.page(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	return parseCounters(bufio.NewScanner(a.Body), names)
}

// parseCounters finds metrics without labels in the text form of Prometheus.
func parseCounters(lines *bufio.Scanner, names []string) (map[string]float64, error) {
	found := make(map[string]float64)
	for lines.Scan() {
		name, value, ok := bytes.Cut(lines.Bytes(), []byte{' '})
		if !ok {
			continue
		}
		for _, want := range names {
			if string(name) != want {
				continue
			}
			v, err := strconv.ParseFloat(string(value), 64)
			if err != nil {
				return nil, fmt.Errorf("metric %s: %w", want, err)
			}
			found[want] = v
		}
	}
	return found, lines.Err()
}
