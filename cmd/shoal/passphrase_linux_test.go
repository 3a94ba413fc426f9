package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shoal/node/api"
)

// pseudoTerminal opens a pair of a pseudo-terminal: the end of who types, and that of the program.
func pseudoTerminal(t *testing.T) (typist, program *os.File) {
	t.Helper()
	skip := t.Skip
	if os.Getenv("CI") != "" {
		skip = t.Fatal
	}
	typist, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		skip(err)
	}
	t.Cleanup(func() { typist.Close() })
	if err := unix.IoctlSetPointerInt(int(typist.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		skip(err)
	}
	n, err := unix.IoctlGetInt(int(typist.Fd()), unix.TIOCGPTN)
	if err != nil {
		skip(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		skip(err)
	}
	t.Cleanup(func() { program.Close() })
	return typist, program
}

// echoes tells whether a terminal shows what is typed.
func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// screen collects what is shown, by several goroutines.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for !done() {
		select {
		case <-late:
			t.Fatalf("waited too long for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestPassphraseAtTheTerminal: a new passphrase is asked for twice, an old one once, and none is shown.
func TestPassphraseAtTheTerminal(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(api.Backup{Format: 1, PeerID: peerA, Files: []api.BackupFile{{Name: "identity.key", Data: []byte("i")}, {Name: "root.key", Data: []byte("k")}}}); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	data, dir := credentialsDir(t), t.TempDir()
	file := filepath.Join(dir, "b")
	const secret, other = "correct horse battery", "another horse battery"
	for i, tt := range []struct {
		args  []string
		types []string
		code  int
		says  string
	}{
		{[]string{"backup", file, "--data", data}, []string{secret, other}, exitFailure, "passphrases differ"},
		{[]string{"backup", file, "--data", data}, []string{""}, exitFailure, "no passphrase was given"},
		{[]string{"backup", file, "--data", data}, []string{secret, secret}, exitOK, "holds identity.key, root.key"},
		{[]string{"restore", file, "--data", filepath.Join(dir, "r")}, []string{other}, exitFailure, "passphrase is wrong"},
		{[]string{"restore", file, "--data", filepath.Join(dir, "r")}, []string{secret}, exitOK, "has identity.key, root.key"},
		{[]string{"backup", file + "2", "--data", data, "--full"}, nil, exitFailure, ""}, // interrupted
	} {
		typist, program := pseudoTerminal(t)
		var shown screen
		go func() { // ends when the terminal is closed
			b := make([]byte, 1024)
			for {
				n, err := typist.Read(b)
				if err != nil {
					return
				}
				shown.Write(b[:n])
			}
		}()
		ctx, interrupt := context.WithCancel(t.Context())
		code := make(chan int, 1)
		go func() {
			code <- execute(ctx, environment{in: program, out: &shown, err: &shown}, append([]string{"admin", "--admin", s.URL}, tt.args...))
		}()
		for n, text := range tt.types {
			await(t, "a question", func() bool { return strings.Count(shown.String(), ": ") > n && !echoes(t, program) })
			if _, err := typist.WriteString(text + "\n"); err != nil {
				t.Fatal(err)
			}
			await(t, "the answer to be taken", func() bool { return strings.Count(shown.String(), "\n") > n })
		}
		if tt.types == nil {
			await(t, "a question", func() bool { return !echoes(t, program) })
			interrupt()
		}
		if got := <-code; got != tt.code || !strings.Contains(shown.String(), tt.says) || strings.Contains(shown.String(), "horse") {
			t.Errorf("%d: exit %d, want %d: %s", i, got, tt.code, shown.String())
		}
		if !echoes(t, program) {
			t.Errorf("%d: the terminal shows nothing that is typed any more", i)
		}
		interrupt()
		typist.Close()
	}
}
