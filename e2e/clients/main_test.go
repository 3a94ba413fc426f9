package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// commandWithin bounds every command, installations included.
const commandWithin = 10 * time.Minute

// workshop is a running store, and a folder in which the commands of one client run.
type workshop struct {
	*testing.T
	store *cluster.Process
	dir   string
	vars  []string
}

// open starts the program for a client of these tools.
func open(t *testing.T, tools ...string) *workshop {
	t.Helper()
	needTools(t, tools...)
	return start(t, "--insecure-http")
}

// start starts the program with these arguments and makes a workshop for its client.
func start(t *testing.T, args ...string) *workshop {
	t.Helper()
	p := cluster.Start(t, cluster.Options{Args: args})
	id, secret := p.Credentials()
	dir := t.TempDir()
	// How often a client tries is left to the client.
	vars := slices.DeleteFunc(p.ClientEnv(), func(v string) bool { return strings.HasPrefix(v, "AWS_MAX_ATTEMPTS=") })
	vars = append(vars, "AWS_ACCESS_KEY_ID="+id, "AWS_SECRET_ACCESS_KEY="+secret, "AWS_ENDPOINT_URL="+p.Endpoint(),
		"HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "TMPDIR="+t.TempDir())
	return &workshop{T: t, store: p, dir: dir, vars: vars}
}

// needTools skips the test where it was not asked for or a tool is missing; in a
// continuous-integration run a missing tool fails it.
func needTools(t *testing.T, tools ...string) {
	t.Helper()
	if os.Getenv("E2E_FULL") == "" {
		t.Skip("runs with E2E_FULL: it installs clients")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			cluster.Need(t, fmt.Errorf("%s is not installed", tool))
		}
	}
}

func (w *workshop) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// path is a path in the workshop's folder.
func (w *workshop) path(name ...string) string {
	return filepath.Join(append([]string{w.dir}, name...)...)
}

// bucket makes a bucket.
func (w *workshop) bucket(name string) {
	w.Helper()
	_, err := w.store.S3().CreateBucket(w.Context(), &s3.CreateBucketInput{Bucket: aws.String(name)})
	w.must(err)
}

// set adds variables to the environment of the commands that follow.
func (w *workshop) set(vars ...string) { w.vars = append(w.vars, vars...) }

// try runs a command and gives what it printed on both streams.
func (w *workshop) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.Context(), commandWithin)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, w.vars, &out, &out
	cmd.WaitDelay = time.Minute
	began := time.Now()
	err := cmd.Run()
	if cmd.ProcessState != nil {
		w.Logf("%s: %.1f s, of them %.1f s of processor", filepath.Base(name), time.Since(began).Seconds(),
			(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	}
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return out.String(), err
}

// run is try for a command that must succeed.
func (w *workshop) run(name string, args ...string) string {
	w.Helper()
	out, err := w.try(name, args...)
	if err != nil {
		w.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(out))
	}
	return out
}

// tail is the end of what a command printed.
func tail(out string) string {
	const most = 12 << 10
	if len(out) > most {
		return "…" + out[len(out)-most:]
	}
	return out
}

// script copies a script of this folder into the workshop and gives its path.
func (w *workshop) script(name ...string) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(name...))
	w.must(err)
	to := w.path(name[len(name)-1])
	w.must(os.WriteFile(to, text, 0o600))
	return to
}

// lockedBuffer is what a running program has printed so far.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write is that of io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
