package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// passphraseVariable holds the passphrase of backups where no file is named. It is no setting: it has no flag and no key.
const passphraseVariable = envPrefix + "BACKUP_PASSPHRASE"

const passphraseMaxBytes = 4096

// passphrase gives that of a backup: the first line of a file that nobody else can read, or without a file the variable, or else what
// is typed at the terminal, where a new passphrase is asked for twice.
func (e environment) passphrase(ctx context.Context, path string, isNew bool) (string, error) {
	if path != "" {
		return readPassphrase(path)
	}
	if p := e.lookup(passphraseVariable); p != "" {
		return p, nil
	}
	tty, ok := e.in.(*os.File)
	if !ok || !term.IsTerminal(int(tty.Fd())) {
		return "", &usageError{"give --passphrase-file: a file with the passphrase, mode 0600; or " + passphraseVariable + "; or run it at a terminal, to be asked"}
	}
	p, err := e.ask(ctx, tty, "Passphrase of the backup: ")
	if err != nil || !isNew {
		return p, err
	}
	again, err := e.ask(ctx, tty, "The same once more: ")
	if err == nil && again != p {
		err = errors.New("the two passphrases differ: nothing was done")
	}
	return p, err
}

// ask reads a line that the terminal does not show. The terminal is as it was before when it returns.
func (e environment) ask(ctx context.Context, tty *os.File, prompt string) (string, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask at the terminal: %w", err)
	}
	fmt.Fprint(e.err, prompt)
	defer fmt.Fprintln(e.err)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1) // The goroutine is left behind where nobody types: the process ends then.
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	case l := <-typed:
		switch {
		case l.err != nil:
			return "", fmt.Errorf("read the passphrase: %w", l.err)
		case len(l.text) == 0:
			return "", errors.New("no passphrase was given")
		case len(l.text) > passphraseMaxBytes:
			return "", fmt.Errorf("a passphrase has at most %s", formatExact(passphraseMaxBytes))
		}
		return string(l.text), nil
	}
}

// readPassphrase reads the first line of a file that nobody else can read.
func readPassphrase(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := readBounded(path, passphraseMaxBytes)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
