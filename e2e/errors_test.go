package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

// fails starts a process that must end by itself with exit code 1 and one line that says
// what is wrong.
func fails(t *testing.T, p *cluster.Process, says ...string) {
	t.Helper()
	p.Start()
	if err := p.Ready(); err == nil {
		t.Errorf("it started, although %s", strings.Join(says, " "))
		p.Kill()
		return
	}
	if p.Running() {
		t.Error("neither ready nor ended")
		p.Kill()
		return
	}
	errs := p.Stderr()
	if code := p.Wait(); code != 1 {
		t.Errorf("exit code %d, want 1: %s", code, errs)
	}
	if !strings.HasPrefix(errs, "shoal: ") || strings.Count(errs, "\n") != 1 {
		t.Errorf("not one line: %q", errs)
	}
	for _, s := range says {
		if !strings.Contains(errs, s) {
			t.Errorf("it does not say %q: %q", s, errs)
		}
	}
}

// TestMistakes makes the mistakes of operators. Each is answered in a line, and the store
// is unharmed when it is undone.
func TestMistakes(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{Drives: 2})
	content := pattern{seed: 1, size: 100 * kib}
	sdk := sdkClient{p.S3()}
	must(t, sdk.mkBucket(t.Context(), "mistakes"))
	must(t, sdk.put(t.Context(), "mistakes", "key", content))
	t.Run("data directory in use", func(t *testing.T) {
		second := cluster.New(t, cluster.Options{Dir: p.Dir(), Drives: 2})
		fails(t, second, p.Dir(), "in use")
	})
	t.Run("drive in use", func(t *testing.T) {
		second := cluster.New(t, cluster.Options{Args: []string{"--drive", p.Drive(0)}})
		fails(t, second, p.Drive(0))
	})
	if code := p.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	unharmed := func(t *testing.T) {
		t.Helper()
		p.SetArgs()
		p.SetEnv()
		p.Start()
		p.WaitReady()
		must(t, sdkClient{p.S3()}.get(t.Context(), "mistakes", "key", content))
		if code := p.Stop(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
	}

	t.Run("port taken", func(t *testing.T) {
		for _, url := range []string{p.Endpoint(), "http://" + p.AdminAddr(), "http://" + p.P2PAddr()} {
			addr := strings.TrimPrefix(url, "http://")
			l, err := net.Listen("tcp", addr)
			must(t, err)
			fails(t, p, addr, "--")
			must(t, l.Close())
		}
		unharmed(t)
	})
	t.Run("drive missing", func(t *testing.T) {
		away := filepath.Join(t.TempDir(), "away")
		must(t, os.Rename(p.Drive(1), away))
		fails(t, p, p.Drive(1), "missing")
		p.SetArgs("--degraded")
		p.Start()
		p.WaitReady()
		must(t, sdkClient{p.S3()}.get(t.Context(), "mistakes", "key", content))
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		must(t, os.RemoveAll(p.Drive(1)))
		must(t, os.Rename(away, p.Drive(1)))
		unharmed(t)
	})
	t.Run("drive of another store", func(t *testing.T) {
		other := cluster.Start(t, cluster.Options{Drives: 2})
		if code := other.Stop(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		own := filepath.Join(t.TempDir(), "own")
		must(t, os.Rename(p.Drive(0), own))
		must(t, os.Rename(other.Drive(0), p.Drive(0)))
		fails(t, p, p.Drive(0), "another store")
		must(t, os.Rename(p.Drive(0), other.Drive(0)))
		must(t, os.Rename(own, p.Drive(0)))
		other.Start()
		other.WaitReady()
		unharmed(t)
	})
	t.Run("drives in another order", func(t *testing.T) {
		third := filepath.Join(t.TempDir(), "third")
		must(t, os.Rename(p.Drive(0), third))
		must(t, os.Rename(p.Drive(1), p.Drive(0)))
		must(t, os.Rename(third, p.Drive(1)))
		unharmed(t)
	})
	t.Run("loose modes", func(t *testing.T) {
		for _, name := range []string{"identity.key", "root.key", "cluster.key", "issuer.key", "root.credentials"} {
			path := filepath.Join(p.Dir(), name)
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%v", err)
				continue
			}
			must(t, os.Chmod(path, 0o644))
			fails(t, p, path, "chmod 600")
			must(t, os.Chmod(path, 0o600))
		}
		unharmed(t)
	})
	t.Run("another profile", func(t *testing.T) {
		p.SetArgs("--erasure", "1+0")
		fails(t, p, "erasure")
		unharmed(t)
	})
	t.Run("unknown settings", func(t *testing.T) {
		config := filepath.Join(t.TempDir(), "shoal.toml")
		must(t, os.WriteFile(config, []byte("regoin = 'x'\nsite = 'a'\n"), 0o600))
		p.SetArgs("--config", config)
		p.SetEnv("SHOAL_DRIVES=x")
		fails(t, p, "regoin", "did you mean region?", "SHOAL_DRIVES", "did you mean SHOAL_DRIVE?")
		unharmed(t)
	})
	t.Run("plain HTTP for others", func(t *testing.T) {
		code, errs := cluster.Run(nil, "server", "--data", filepath.Join(t.TempDir(), "x"), "--s3", "0.0.0.0:0",
			"--admin", "127.0.0.1:0", "--p2p", "127.0.0.1:0")
		if code != 1 || !strings.Contains(errs, "--insecure-http") {
			t.Errorf("exit code %d: %s", code, errs)
		}
	})
	t.Run("metadata gone", func(t *testing.T) {
		away := filepath.Join(t.TempDir(), "meta")
		must(t, os.Rename(filepath.Join(p.Dir(), "meta"), away))
		fails(t, p, "meta")
		must(t, os.RemoveAll(filepath.Join(p.Dir(), "meta")))
		must(t, os.Rename(away, filepath.Join(p.Dir(), "meta")))
		unharmed(t)
	})
}

// TestFirstStart checks what the first start and the later ones say, and what is where.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{})
	id, secret := p.Credentials()
	first := p.Stdout()
	for _, want := range []string{p.Endpoint(), p.CredentialsFile(), id, secret, "aws --endpoint-url", "s3 mb", "curl --aws-sigv4"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first start does not print %q", want)
		}
	}
	for _, name := range []string{"identity.key", "root.key", "root.credentials"} {
		info, err := os.Stat(filepath.Join(p.Dir(), name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	p.Restart()
	second := p.Stdout()
	if strings.Contains(second, secret) {
		t.Error("the second start prints the secret")
	}
	if line := firstLine(first); line != firstLine(second) {
		t.Errorf("the identity changed from %q to %q", line, firstLine(second))
	}
	t.Run("no secret in files", func(t *testing.T) { noSecret(t, p, secret) })
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// noSecret looks for the root secret in every file but the one that is for it.
func noSecret(t *testing.T, p *cluster.Process, secret string) {
	must(t, filepath.Walk(p.Dir(), func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() || path == p.CredentialsFile() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(content), secret) {
			t.Errorf("%s holds the secret", path)
		}
		return nil
	}))
}

// TestDrain asks a server to stop while a slow upload is under way: the upload is
// answered, new requests are not taken, and the process ends within its grace time.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{Args: []string{"--grace", "20s"}})
	c, bucket := p.S3(), "drain"
	must(t, sdkClient{c}.mkBucket(t.Context(), bucket))
	content := pattern{seed: 1, size: 300 * kib}
	body := &gated{SectionReader: content.reader(), half: make(chan struct{}), gate: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("slow"), Body: body},
			s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
		done <- err
	}()
	<-body.half
	inFlight(t, p)
	stopped := make(chan int, 1)
	go func() { stopped <- p.Stop() }()
	eventually(t, 10*time.Second, func() error {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.Endpoint(), "http://"))
		if err != nil {
			return nil
		}
		return fmt.Errorf("connections are still accepted: %w", conn.Close())
	})
	close(body.gate)
	must(t, <-done)
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.Start()
	p.WaitReady()
	must(t, sdkClient{p.S3()}.get(t.Context(), bucket, "slow", content))
	t.Run("grace ends", func(t *testing.T) { testGraceEnds(t, p) })
}

// inFlight waits until the server has taken the one request that is under way: one that
// still waits to be accepted would be refused by a server that stops.
func inFlight(t *testing.T, p *cluster.Process) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		resp, err := http.Get("http://" + p.AdminAddr() + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && !strings.Contains(string(text), "\nshoal_gateway_in_flight_requests 1\n") {
			err = errors.New("no request in flight")
		}
		return err
	})
}

// testGraceEnds stops a server whose client never goes on: it ends all the same.
func testGraceEnds(t *testing.T, p *cluster.Process) {
	if code := p.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	p.SetArgs("--grace", "2s")
	p.Start()
	p.WaitReady()
	body := &gated{SectionReader: pattern{seed: 1, size: 300 * kib}.reader(), half: make(chan struct{}), gate: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := p.S3()
	done := make(chan error, 1)
	go func() {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("drain"), Key: aws.String("never"), Body: body},
			s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
		done <- err
	}()
	<-body.half
	inFlight(t, p)
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Stderr())
	}
	cancel()
	close(body.gate)
	if err := <-done; err == nil {
		t.Error("an upload that never ended was acknowledged")
	}
	p.Start()
	p.WaitReady()
	if _, err := (sdkClient{p.S3()}).size(t.Context(), "drain", "never"); !absent(err) {
		t.Errorf("half an upload is there: %v", err)
	}
}

// gated gives half of its content, says so, and waits.
type gated struct {
	*io.SectionReader
	half, gate chan struct{}
	given      int64
	waited     bool
}

func (g *gated) Read(b []byte) (int, error) {
	if g.given >= g.Size()/2 && !g.waited {
		g.waited = true
		close(g.half)
		<-g.gate
	}
	n, err := g.SectionReader.Read(b[:min(len(b), 16*kib)])
	g.given += int64(n)
	return n, err
}
