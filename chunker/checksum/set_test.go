package checksum

import (
	"encoding/base64"
	"errors"
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	want := map[string]string{
		"SHA256": "x-amz-checksum-sha256", "SHA1": "x-amz-checksum-sha1", "CRC32": "x-amz-checksum-crc32",
		"CRC32C": "x-amz-checksum-crc32c", "CRC64NVME": "x-amz-checksum-crc64nvme",
	}
	seen := 0
	for a := range Content().Each {
		if want[a.Name()] != a.Header() {
			t.Errorf("%s travels in %s", a.Name(), a.Header())
		}
		if got, ok := ParseName(a.Name()); !ok || got != a {
			t.Errorf("%s is parsed as %v", a.Name(), got)
		}
		if got, ok := ParseHeader("X-Amz-Checksum-" + a.Name()); !ok || got != a {
			t.Errorf("header of %s is parsed as %v", a.Name(), got)
		}
		seen++
	}
	if seen != len(want) {
		t.Errorf("%d content checksums", seen)
	}
	for _, name := range []string{"", "MD5", "CRC16", "CRC32CC", "x-amz-checksum-crc32"} {
		if a, ok := ParseName(name); ok {
			t.Errorf("%q is %v", name, a)
		}
	}
	for _, name := range []string{"", "x-amz-checksum-", "x-amz-checksum-mode", "x-amz-checksum-type", "crc32", "x-amz-checksum-md5"} {
		if a, ok := ParseHeader(name); ok {
			t.Errorf("header %q is %v", name, a)
		}
	}
	if got := (MD5 | CRC32C).String(); got != "MD5,CRC32C" {
		t.Errorf("set %q", got)
	}
}

func TestEach(t *testing.T) {
	var got []Set
	for a := range (CRC64NVME | SHA1 | 0x80).Each {
		got = append(got, a)
	}
	if !slices.Equal(got, []Set{SHA1, CRC64NVME}) {
		t.Errorf("members %v", got)
	}
	for range all.Each {
		break
	}
	if !all.Has(MD5|CRC32) || MD5.Has(MD5|CRC32) || !MD5.Has(0) {
		t.Error("Has")
	}
}

func TestParseBase64(t *testing.T) {
	for a := range all.Each {
		sums := Sum(a, []byte("x"))
		text := sums.Base64(a)
		got, err := a.ParseBase64(text)
		if err != nil || string(got) != string(sums.Bytes(a)) {
			t.Errorf("%v: %x, error %v", a, got, err)
		}
		for _, bad := range []string{"", text + "=", text[1:], text[:len(text)-1] + "!", "\n" + text[1:], base64.URLEncoding.EncodeToString(sums.Bytes(a)) + "-1"} {
			if _, err := a.ParseBase64(bad); !errors.Is(err, ErrChecksum) {
				t.Errorf("%v: %q is accepted, error %v", a, bad, err)
			}
		}
	}
	// Four bytes leave four bits of the last letter unused; only zeros there are canonical.
	if _, err := CRC32.ParseBase64("AAAAAB=="); !errors.Is(err, ErrChecksum) {
		t.Errorf("loose bits: error %v", err)
	}
}

func FuzzParseBase64(f *testing.F) {
	f.Add(uint8(CRC32), "AAAAAA==")
	f.Add(uint8(SHA256), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
	f.Fuzz(func(t *testing.T, algorithm uint8, text string) {
		a := Set(algorithm)
		if !a.single() {
			t.Skip()
		}
		digest, err := a.ParseBase64(text)
		if err != nil {
			if !errors.Is(err, ErrChecksum) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(digest) != a.Size() || base64.StdEncoding.EncodeToString(digest) != text {
			t.Fatalf("%q is accepted as %x", text, digest)
		}
	})
}
