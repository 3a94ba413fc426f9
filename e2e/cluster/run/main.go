// Command run starts a cluster of real processes on loopback, for trying things out by
// hand. Each process has its directory below -data and its ports in a row with the others;
// the same directory starts the same cluster again. An interrupt stops all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// First ports. Those of the next process are portStep higher.
const (
	s3Port    = 9000
	adminPort = 9001
	p2pPort   = 4001 // and the two after it
	portStep  = 10
)

// Limits of waiting.
const (
	readyWithin = 60 * time.Second
	pollEvery   = 50 * time.Millisecond
	stopWithin  = 30 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// local is the cluster.
type local struct {
	program string
	data    string
	procs   []*process
	ended   chan *process // gets each process that has ended
}

// process is one of its processes.
type process struct {
	name string
	cmd  *exec.Cmd
	err  error // of cmd, once ended
	gone bool  // it ended by itself
}

func run(ctx context.Context) error {
	program := flag.String("program", "bin/shoal", "the program")
	data := flag.String("data", "data-cluster", "directory of the cluster")
	nodes := flag.Int("nodes", 5, "number of nodes; the first serves S3 too")
	gateways := flag.Int("gateways", 1, "number of further gateways")
	flag.Parse()
	if *nodes < 1 || *gateways < 0 || *nodes+*gateways > 50 {
		return errors.New("1 to 50 processes, one of them a node")
	}
	l := &local{program: *program, data: *data, ended: make(chan *process, *nodes+*gateways)}
	err := l.startAll(ctx, *nodes, *gateways)
	if err == nil {
		l.greet(*nodes)
		l.wait(ctx)
	}
	return errors.Join(err, l.stop())
}

// startAll starts one process after the other, each once the one before is ready.
func (l *local) startAll(ctx context.Context, nodes, gateways int) error {
	for i := range nodes + gateways {
		part := "node"
		switch {
		case i == 0:
			part = "server"
		case i >= nodes:
			part = "gateway"
		}
		if err := l.start(ctx, i, part); err != nil {
			return err
		}
	}
	return nil
}

func addr(port, i int) string { return fmt.Sprintf("127.0.0.1:%d", port+portStep*i) }

func (l *local) start(ctx context.Context, i int, part string) error {
	name := fmt.Sprintf("%s-%d", part, i)
	dir := filepath.Join(l.data, name)
	args := []string{part, "--data", dir, "--admin", addr(adminPort, i), "--p2p", addr(p2pPort, i)}
	if part != "node" {
		args = append(args, "--s3", addr(s3Port, i))
	}
	joined := filepath.Join(l.data, name+".joined")
	if _, err := os.Stat(joined); i > 0 && errors.Is(err, os.ErrNotExist) {
		token, err := l.invite(ctx, part)
		if err != nil {
			return err
		}
		args = append(args, "--join", token)
	}
	if err := os.MkdirAll(l.data, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(l.data, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p := &process{name: name, cmd: exec.Command(l.program, args...)}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// An interrupt from the terminal is for this process, which then ends the others.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	l.procs = append(l.procs, p)
	go func() {
		p.err = p.cmd.Wait()
		l.ended <- p
	}()
	if err := l.ready(ctx, p, addr(adminPort, i)); err != nil {
		return err
	}
	return os.WriteFile(joined, nil, 0o600)
}

// invite gets a token from the first node.
func (l *local) invite(ctx context.Context, role string) (string, error) {
	cmd := exec.CommandContext(ctx, l.program, "admin", "invite", "--role", role, "--ttl", "5m",
		"--credentials", l.credentials(), "--admin", addr(adminPort, 0))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("invite a %s: %w: %s", role, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (l *local) credentials() string { return filepath.Join(l.data, "server-0", "root.credentials") }

// ready waits until a process serves.
func (l *local) ready(ctx context.Context, p *process, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/health/ready", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case q := <-l.ended:
			l.ended <- q
			return l.unexpected(q)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; see %s", p.name, ctx.Err(), filepath.Join(l.data, p.name+".log"))
		}
	}
}

func (l *local) unexpected(p *process) error {
	return fmt.Errorf("%s has ended by itself: %v; see %s", p.name, p.err, filepath.Join(l.data, p.name+".log"))
}

// greet tells where everything is.
func (l *local) greet(nodes int) {
	for i, p := range l.procs {
		line := fmt.Sprintf("%-10s management http://%s  pid %d", p.name, addr(adminPort, i), p.cmd.Process.Pid)
		if i == 0 || i >= nodes {
			line += "  S3 http://" + addr(s3Port, i)
		}
		fmt.Println(line)
	}
	credentials, err := filepath.Abs(l.credentials())
	if err != nil {
		credentials = l.credentials()
	}
	fmt.Printf(`
  export AWS_SHARED_CREDENTIALS_FILE='%[1]s' AWS_REGION=us-east-1
  aws --endpoint-url http://%[2]s s3 mb s3://first
  %[3]s admin members --credentials '%[1]s' --admin %[4]s

Logs are in %[5]s. Ctrl-C stops all.
`, credentials, addr(s3Port, 0), l.program, addr(adminPort, 0), l.data)
}

// wait waits for the interrupt. A process that ends meanwhile, as when someone kills it to
// see what happens, is told of; the others go on.
func (l *local) wait(ctx context.Context) {
	for gone := 0; gone < len(l.procs); gone++ {
		select {
		case <-ctx.Done():
			return
		case p := <-l.ended:
			fmt.Println(l.unexpected(p))
			p.gone = true
		}
	}
}

// stop ends the processes, the last started first to be told, and waits for them.
func (l *local) stop() error {
	var errs []error
	for i := len(l.procs) - 1; i >= 0; i-- {
		if err := l.procs[i].cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	for _, p := range l.procs {
		if p.gone {
			continue
		}
		select {
		case <-l.ended:
		case <-timer.C:
			for _, p := range l.procs {
				// The error says that it has ended, as it should.
				_ = p.cmd.Process.Kill()
			}
			return errors.Join(append(errs, fmt.Errorf("not all ended within %v and were killed", stopWithin))...)
		}
	}
	return errors.Join(errs...)
}
