package keyring

import (
	"bufio"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A long archive is sealed piece by piece, so that it need not fit into memory. The nonce of a piece is its number and whether it is the last:
// pieces cannot be cut off, left out, repeated or exchanged. docs/formats/backup.md has the layout.
const (
	longMagic = "SHBF"
	longHead  = 4 + 4 + 4 + archiveSalt
	// longPiece is the plaintext of every piece but the last, in bytes.
	longPiece = 64 << 10
)

// IsLongArchive tells by its first bytes, at least 4, whether a file is a long archive.
func IsLongArchive(begin []byte) bool { return len(begin) >= 4 && string(begin[:4]) == longMagic }

// ArchiveWriter seals what is written to it. Without Close the archive is not whole, and does not open.
type ArchiveWriter struct {
	w    io.Writer
	aead cipher.AEAD
	head []byte
	buf  []byte
	out  []byte
	n    uint64
}

// NewArchiveWriter begins a long archive under a passphrase of PassphraseMin bytes or more.
func NewArchiveWriter(w io.Writer, passphrase string) (*ArchiveWriter, error) {
	return newArchiveWriter(w, passphrase, archiveLogN)
}

func newArchiveWriter(w io.Writer, passphrase string, logN uint32) (*ArchiveWriter, error) {
	if len(passphrase) < PassphraseMin {
		return nil, fmt.Errorf("the passphrase has %d bytes, want %d or more", len(passphrase), PassphraseMin)
	}
	head := make([]byte, longHead)
	copy(head, longMagic)
	binary.LittleEndian.PutUint32(head[4:], archiveFormat)
	binary.LittleEndian.PutUint32(head[8:], logN)
	rand.Read(head[12:])
	aead, err := archiveCipher(head, passphrase)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(head); err != nil {
		return nil, err
	}
	return &ArchiveWriter{w: w, aead: aead, head: head, buf: make([]byte, 0, longPiece)}, nil
}

// Write implements io.Writer.
func (a *ArchiveWriter) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if len(a.buf) == longPiece {
			if err := a.seal(false); err != nil {
				return len(b) - len(rest), err
			}
		}
		n := min(len(rest), longPiece-len(a.buf))
		a.buf = append(a.buf, rest[:n]...)
		rest = rest[n:]
	}
	return len(b), nil
}

// Close writes the last piece. It does not close what is below.
func (a *ArchiveWriter) Close() error { return a.seal(true) }

func (a *ArchiveWriter) seal(last bool) error {
	a.out = a.aead.Seal(a.out[:0], longNonce(a.n, last), a.buf, a.head)
	a.n++
	a.buf = a.buf[:0]
	_, err := a.w.Write(a.out)
	return err
}

func longNonce(n uint64, last bool) []byte {
	nonce := make([]byte, archiveNonce)
	binary.LittleEndian.PutUint64(nonce, n)
	if last {
		nonce[8] = 1
	}
	return nonce
}

// archiveReader opens piece by piece.
type archiveReader struct {
	r     *bufio.Reader
	aead  cipher.AEAD
	head  []byte
	piece []byte
	plain []byte // not read yet
	n     uint64
	err   error
}

// NewArchiveReader opens what an ArchiveWriter made. It gives no byte that was not verified, and io.EOF only at the true end; an archive
// that is cut short, or altered, or under another passphrase ends with ErrPassphrase.
func NewArchiveReader(r io.Reader, passphrase string) (io.Reader, error) {
	head := make([]byte, longHead)
	if _, err := io.ReadFull(r, head); err != nil || !IsLongArchive(head) {
		return nil, ErrArchive
	}
	if v := binary.LittleEndian.Uint32(head[4:]); v != archiveFormat {
		return nil, fmt.Errorf("%w: format %d, this release reads %d", ErrArchive, v, archiveFormat)
	}
	if n := binary.LittleEndian.Uint32(head[8:]); n < archiveLogNMin || n > archiveLogNMax {
		return nil, fmt.Errorf("%w: work factor 2^%d", ErrArchive, n)
	}
	aead, err := archiveCipher(head, passphrase)
	if err != nil {
		return nil, err
	}
	return &archiveReader{r: bufio.NewReader(r), aead: aead, head: head, piece: make([]byte, longPiece+archiveTag)}, nil
}

// Read implements io.Reader.
func (a *archiveReader) Read(b []byte) (int, error) {
	for len(a.plain) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		a.open()
	}
	n := copy(b, a.plain)
	a.plain = a.plain[n:]
	return n, nil
}

// open opens the next piece. What ends with the file is the last one, or does not open.
func (a *archiveReader) open() {
	n, err := io.ReadFull(a.r, a.piece)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		a.err = err
		return
	}
	last := err != nil
	if !last {
		_, err = a.r.Peek(1)
		if err != nil && err != io.EOF {
			a.err = err
			return
		}
		last = err != nil
	}
	a.plain, err = a.aead.Open(a.piece[:0], longNonce(a.n, last), a.piece[:n], a.head)
	a.n++
	switch {
	case err != nil:
		a.plain, a.err = nil, ErrPassphrase
	case last:
		a.err = io.EOF
	}
}
