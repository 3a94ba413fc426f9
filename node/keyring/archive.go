package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/scrypt"
)

// An archive is bytes sealed under a passphrase; docs/formats/backup.md has its layout.
const (
	archiveMagic  = "SHBK"
	archiveFormat = 1
	archiveSalt   = 16
	archiveNonce  = 12
	archiveHead   = 4 + 4 + 4 + archiveSalt + archiveNonce
	archiveTag    = 16

	// The work of one guess: 128 bytes * 8 * 2^16 = 64 MiB of memory. A reader takes more, up to a
	// bound, so that a later release may raise it.
	archiveLogN    = 16
	archiveLogNMin = 14
	archiveLogNMax = 18
	scryptR        = 8
	scryptP        = 1

	// ArchiveMax bounds what an archive holds, in bytes.
	ArchiveMax = 16 << 20
	// PassphraseMin is the least length of a passphrase, in bytes.
	PassphraseMin = 12
)

// ErrArchive is wrapped by every error of a file that is no archive, or is damaged.
var ErrArchive = errors.New("not a backup of shoal")

// ErrPassphrase says that the archive does not open: the passphrase is another, or it is damaged.
var ErrPassphrase = errors.New("the passphrase is wrong, or the backup is damaged")

// SealArchive seals plain under a passphrase of PassphraseMin bytes or more.
func SealArchive(plain []byte, passphrase string) ([]byte, error) {
	return sealArchive(plain, passphrase, archiveLogN)
}

func sealArchive(plain []byte, passphrase string, logN uint32) ([]byte, error) {
	if len(passphrase) < PassphraseMin {
		return nil, fmt.Errorf("the passphrase has %d bytes, want %d or more", len(passphrase), PassphraseMin)
	}
	if len(plain) > ArchiveMax {
		return nil, fmt.Errorf("a backup of %d bytes, at most %d", len(plain), ArchiveMax)
	}
	head := make([]byte, archiveHead, archiveHead+len(plain)+archiveTag)
	copy(head, archiveMagic)
	binary.LittleEndian.PutUint32(head[4:], archiveFormat)
	binary.LittleEndian.PutUint32(head[8:], logN)
	rand.Read(head[12:])
	aead, err := archiveCipher(head, passphrase)
	if err != nil {
		return nil, err
	}
	return aead.Seal(head, head[archiveHead-archiveNonce:archiveHead], plain, head[:archiveHead]), nil
}

// OpenArchive opens what SealArchive made.
func OpenArchive(sealed []byte, passphrase string) ([]byte, error) {
	if err := checkArchive(sealed); err != nil {
		return nil, err
	}
	aead, err := archiveCipher(sealed, passphrase)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, sealed[archiveHead-archiveNonce:archiveHead], sealed[archiveHead:], sealed[:archiveHead])
	if err != nil {
		return nil, ErrPassphrase
	}
	return plain, nil
}

// checkArchive checks what can be read without the passphrase. It bounds the work of what follows.
func checkArchive(b []byte) error {
	if len(b) < archiveHead+archiveTag || string(b[:4]) != archiveMagic {
		return ErrArchive
	}
	if len(b) > archiveHead+ArchiveMax+archiveTag {
		return fmt.Errorf("%w: %d bytes", ErrArchive, len(b))
	}
	if v := binary.LittleEndian.Uint32(b[4:]); v != archiveFormat {
		return fmt.Errorf("%w: format %d, this release reads %d", ErrArchive, v, archiveFormat)
	}
	if n := binary.LittleEndian.Uint32(b[8:]); n < archiveLogNMin || n > archiveLogNMax {
		return fmt.Errorf("%w: work factor 2^%d", ErrArchive, n)
	}
	return nil
}

// archiveCipher derives the cipher from what both kinds of archive have at the same place: work factor and salt.
func archiveCipher(head []byte, passphrase string) (cipher.AEAD, error) {
	logN := binary.LittleEndian.Uint32(head[8:])
	key, err := scrypt.Key([]byte(passphrase), head[12:12+archiveSalt], 1<<logN, scryptR, scryptP, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a backup: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
