package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{4}).Read(b)
	return b
}

// vectors are the published check values of the algorithms: of "", "abc" and "123456789".
var vectors = []struct {
	algorithm Set
	text      string
	want      string
}{
	{MD5, "", "d41d8cd98f00b204e9800998ecf8427e"},
	{MD5, "abc", "900150983cd24fb0d6963f7d28e17f72"},
	{SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{SHA1, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
	{SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
	{CRC32, "", "00000000"},
	{CRC32, "123456789", "cbf43926"},
	{CRC32C, "123456789", "e3069283"},
	{CRC64NVME, "", "0000000000000000"},
	{CRC64NVME, "123456789", "ae8b14860a799888"},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		sums := Sum(v.algorithm, []byte(v.text))
		if got := hex.EncodeToString(sums.Bytes(v.algorithm)); got != v.want {
			t.Errorf("%v of %q: %s, want %s", v.algorithm, v.text, got, v.want)
		}
		s := New(v.algorithm)
		s.Start([]byte(v.text))
		if sums := s.Sums(); hex.EncodeToString(sums.Bytes(v.algorithm)) != v.want {
			t.Errorf("%v of %q in a stream: %x", v.algorithm, v.text, sums.Bytes(v.algorithm))
		}
	}
}

// TestSums holds Sum to the standard library where that has the algorithm.
func TestSums(t *testing.T) {
	p := pattern(300_000)
	sums := Sum(all, p)
	if sums.MD5 != md5.Sum(p) || sums.SHA256 != sha256.Sum256(p) || sums.SHA1 != sha1.Sum(p) {
		t.Error("a digest differs")
	}
	if sums.ETag() != hex.EncodeToString(sums.MD5[:]) {
		t.Errorf("ETag %s", sums.ETag())
	}
	if none := Sum(0, p); none.Bytes(MD5) != nil || none.Base64(CRC32) != "" || none != (Sums{}) {
		t.Errorf("digests that nobody wanted: %+v", none)
	}
	if sums.Bytes(MD5|SHA1) != nil {
		t.Error("two digests at once")
	}
	abc := Sum(CRC32C, []byte("123456789"))
	if got := abc.Base64(CRC32C); got != "4waSgw==" {
		t.Errorf("base64 %q", got)
	}
}
