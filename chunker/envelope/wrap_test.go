package envelope

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func fixedKEK(id uint32) KEK { return KEK{ID: id, Key: fixedDEK(byte(100 + id)).key} }

func lookup(keks ...KEK) func(uint32) (KEK, error) {
	return func(id uint32) (KEK, error) {
		for _, k := range keks {
			if k.ID == id {
				return k, nil
			}
		}
		return KEK{}, errNoKEK
	}
}

var errNoKEK = errors.New("no such KEK")

// TestUnder pins what a customer's key makes of a data key (docs/formats/sealed-chunk.md).
func TestUnder(t *testing.T) {
	customer := [KeySize]byte([]byte(strings.Repeat("c", KeySize)))
	mac := func(key, text []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(text)
		return h.Sum(nil)
	}
	dek := fixedDEK(1)
	prk := mac(make([]byte, sha256.Size), append(dek.key[:], customer[:]...)) // RFC 5869, 2.2
	want := mac(prk, []byte("shoal customer data key v1\x01"))                // 2.3, one block
	if got := dek.Under(customer); !bytes.Equal(got.key[:], want) {
		t.Errorf("%x, want %x", got.key, want)
	}
	if fixedDEK(2).Under(customer) == dek.Under(customer) || dek.Under([KeySize]byte{}) == dek.Under(customer) {
		t.Error("another key makes the same")
	}
}

func TestWrap(t *testing.T) {
	dek, aad := NewDEK(), []byte("bucket 7")
	for _, kek := range []KEK{fixedKEK(0), fixedKEK(1), NewKEK(1<<32 - 1)} {
		wrapped := Wrap(kek, dek, aad)
		if id, err := WrappedBy(wrapped); err != nil || id != kek.ID || len(wrapped) != WrappedSize {
			t.Errorf("wrapped by %d in %d bytes, error %v", id, len(wrapped), err)
		}
		if got, err := Unwrap(lookup(fixedKEK(9), kek), wrapped, aad); err != nil || got != dek {
			t.Errorf("KEK %d: error %v", kek.ID, err)
		}
	}
	if bytes.Equal(Wrap(fixedKEK(1), dek, aad), Wrap(fixedKEK(1), dek, aad)) {
		t.Error("a key is wrapped twice into the same bytes")
	}
}

func TestUnwrapRefuses(t *testing.T) {
	dek, kek, aad := fixedDEK(5), fixedKEK(1), []byte("aad")
	wrapped := Wrap(kek, dek, aad)
	for bit := range len(wrapped) * 8 {
		bad := bytes.Clone(wrapped)
		bad[bit/8] ^= 1 << (bit % 8)
		other := fixedKEK(0)
		if got, err := Unwrap(func(id uint32) (KEK, error) { other.ID = id; other.Key = kek.Key; return other, nil }, bad, aad); err == nil {
			t.Fatalf("bit %d flipped: unwrapped %v", bit, got)
		} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
			t.Fatalf("bit %d flipped: error %v", bit, err)
		}
	}
	for _, tc := range []struct {
		name    string
		wrapped []byte
		aad     string
		keks    []KEK
		want    error
	}{
		{"nothing", nil, "aad", []KEK{kek}, ErrFormat},
		{"cut", wrapped[:WrappedSize-1], "aad", []KEK{kek}, ErrCorrupt},
		{"longer", append(bytes.Clone(wrapped), 0), "aad", []KEK{kek}, ErrCorrupt},
		{"another format", append([]byte{2}, wrapped[1:]...), "aad", []KEK{kek}, ErrFormat},
		{"another aad", wrapped, "abd", []KEK{kek}, ErrCorrupt},
		{"no aad", wrapped, "", []KEK{kek}, ErrCorrupt},
		{"another KEK of that ID", wrapped, "aad", []KEK{{ID: 1}}, ErrCorrupt},
		{"no KEK", wrapped, "aad", nil, errNoKEK},
	} {
		if _, err := Unwrap(lookup(tc.keks...), tc.wrapped, []byte(tc.aad)); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestSealKey(t *testing.T) {
	root := NewRootKey()
	for _, secret := range [][]byte{nil, []byte("s"), pattern(SecretMax)} {
		box, err := SealKey(root, "kek", secret, []byte("id 1"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OpenKey(root, "kek", box, []byte("id 1")); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%d bytes: error %v", len(secret), err)
		}
		for name, open := range map[string]func() ([]byte, error){
			"another purpose":  func() ([]byte, error) { return OpenKey(root, "access key", box, []byte("id 1")) },
			"another aad":      func() ([]byte, error) { return OpenKey(root, "kek", box, []byte("id 2")) },
			"another root key": func() ([]byte, error) { return OpenKey(NewRootKey(), "kek", box, []byte("id 1")) },
			"cut":              func() ([]byte, error) { return OpenKey(root, "kek", box[:len(box)-1], []byte("id 1")) },
			"cut short":        func() ([]byte, error) { return OpenKey(root, "kek", box[:10], []byte("id 1")) },
			"a bit": func() ([]byte, error) {
				bad := bytes.Clone(box)
				bad[len(bad)/2] ^= 8
				return OpenKey(root, "kek", bad, []byte("id 1"))
			},
			"longer": func() ([]byte, error) {
				return OpenKey(root, "kek", append(bytes.Clone(box), make([]byte, SecretMax)...), nil)
			},
		} {
			if got, err := open(); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d bytes, %s: %v, error %v", len(secret), name, got, err)
			}
		}
	}
	if _, err := OpenKey(root, "kek", []byte{9, 1, 2}, nil); !errors.Is(err, ErrFormat) {
		t.Errorf("unknown format: error %v", err)
	}
	if _, err := SealKey(root, "kek", make([]byte, SecretMax+1), nil); err == nil {
		t.Error("a secret that is too long is sealed")
	}
}

// TestKeysNeverShow formats keys in every way that a log or an error might, also inside of others.
func TestKeysNeverShow(t *testing.T) {
	dek, kek, root := fixedDEK(0x41), KEK{ID: 77, Key: fixedDEK(0x41).key}, RootKey{Key: fixedDEK(0x41).key}
	type holder struct {
		D DEK
		K KEK
		P *RootKey
		M map[string]DEK
	}
	h := holder{dek, kek, &root, map[string]DEK{"a": dek}}
	raw := dek.key[:4] // "ABCD", 0x41424344, 65 66 67 68
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U"} {
		for _, v := range []any{dek, &dek, kek, &kek, root, &root, h, &h, []KEK{kek}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("keys", "dek", dek, "kek", kek, "root", root, "holder", h)
	}
	encoded, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	for _, shown := range []string{
		string(raw), hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), "65 66 67 68", "65,66,67,68",
		"0x41, 0x42", "101 102 103", "1000001 1000010", "A B C D", "QUJDR", "U+0041 U+0042",
	} {
		if i := strings.Index(out.String(), shown); i >= 0 {
			t.Errorf("key bytes show as %q: %.200s", shown, out.String()[max(i-100, 0):])
		}
	}
	if !strings.Contains(out.String(), "77") {
		t.Error("the ID of a KEK does not show")
	}
}

// TestGolden opens what earlier releases sealed, and seals chunks to the same bytes.
func TestGolden(t *testing.T) {
	root := RootKey{Key: fixedDEK(200).key}
	kek, dek := fixedKEK(3), fixedDEK(1)
	secret, err := SealKey(root, "kek", kek.Key[:], []byte("3"))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		write(t, "secret-format1.bin", secret)
		write(t, "dek-format1.bin", Wrap(kek, dek, []byte("aad")))
		write(t, "chunk-format1.bin", sealed(pattern(frameSize+3), 0x01020304))
	}
	if got, err := OpenKey(root, "kek", read(t, "secret-format1.bin"), []byte("3")); err != nil || !bytes.Equal(got, kek.Key[:]) {
		t.Errorf("secret: error %v", err)
	}
	if got, err := Unwrap(lookup(kek), read(t, "dek-format1.bin"), []byte("aad")); err != nil || got != dek {
		t.Errorf("DEK: error %v", err)
	}
	if !bytes.Equal(sealed(pattern(frameSize+3), 0x01020304), read(t, "chunk-format1.bin")) {
		t.Error("a chunk is sealed to other bytes")
	}
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzUnwrap(f *testing.F) {
	kek := fixedKEK(1)
	f.Add(Wrap(kek, fixedDEK(1), nil), []byte(nil))
	f.Add([]byte{1}, []byte("aad"))
	f.Fuzz(func(t *testing.T, wrapped, aad []byte) {
		_, err := Unwrap(lookup(kek), wrapped, aad)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) && !errors.Is(err, errNoKEK) {
			t.Fatalf("error %v", err)
		}
		secret, err := OpenKey(RootKey(struct{ Key [KeySize]byte }{kek.Key}), "p", wrapped, aad)
		if err == nil {
			t.Fatalf("%x opens as a secret: %x", wrapped, secret)
		}
	})
}

func BenchmarkWrap(b *testing.B) {
	kek, dek := fixedKEK(1), fixedDEK(1)
	b.ReportAllocs()
	for b.Loop() {
		Wrap(kek, dek, nil)
	}
}

func BenchmarkUnwrap(b *testing.B) {
	kek := fixedKEK(1)
	wrapped := Wrap(kek, fixedDEK(1), nil)
	find := lookup(kek)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Unwrap(find, wrapped, nil); err != nil {
			b.Fatal(err)
		}
	}
}
