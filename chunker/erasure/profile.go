package erasure

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// KMax and MMax bound a profile: at most 16 data and 8 parity shards.
	KMax = 16
	MMax = 8
	// Align is what the length in bytes of a shard is a multiple of: the page that drives write, so that
	// shards cut from one aligned stripe are aligned too and reach the drive without a copy. On the
	// drive it costs nothing: records are padded to it anyway.
	Align = 4096
)

// ErrProfile is returned for a number of shards that shoal does not store.
var ErrProfile = errors.New("not an erasure profile")

// Profile says into how many shards a chunk is coded: any K of the K+M shards give it back.
type Profile struct {
	K, M uint8
}

// ProfileForDrives returns the profile that suits a cluster of this many drives. It is 1+0 for none,
// so that a caller need not treat an empty cluster apart.
func ProfileForDrives(drives int) Profile {
	switch {
	case drives >= 12:
		return Profile{8, 4}
	case drives >= 8:
		return Profile{5, 3}
	case drives >= 6:
		return Profile{4, 2}
	case drives >= 4:
		return Profile{2, 2}
	case drives == 3:
		return Profile{2, 1}
	case drives == 2:
		return Profile{1, 1}
	default:
		return Profile{1, 0}
	}
}

// ParseProfile reads "k+m", for example "4+2": two decimal numbers without sign or leading zero.
func ParseProfile(s string) (Profile, error) {
	k, m, ok := strings.Cut(s, "+")
	if !ok {
		return Profile{}, fmt.Errorf("%w: %q is not k+m", ErrProfile, s)
	}
	kn, kerr := strconv.ParseUint(k, 10, 8)
	mn, merr := strconv.ParseUint(m, 10, 8)
	p := Profile{uint8(kn), uint8(mn)}
	if kerr != nil || merr != nil || p.String() != s {
		return Profile{}, fmt.Errorf("%w: %q is not k+m", ErrProfile, s)
	}
	return p, p.Validate()
}

// Validate returns ErrProfile unless K is 1 to KMax and M is 0 to MMax.
func (p Profile) Validate() error {
	if p.K < 1 || p.K > KMax || p.M > MMax {
		return fmt.Errorf("%w: %v, want 1 to %d data and 0 to %d parity shards", ErrProfile, p, KMax, MMax)
	}
	return nil
}

// Width returns the number of shards, data and parity.
func (p Profile) Width() int { return int(p.K) + int(p.M) }

// String returns "k+m".
func (p Profile) String() string { return strconv.Itoa(int(p.K)) + "+" + strconv.Itoa(int(p.M)) }

// MarshalText returns what String returns.
func (p Profile) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Profile) UnmarshalText(text []byte) error {
	parsed, err := ParseProfile(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// ShardSize returns the length in bytes of each shard of a sealed chunk of sealedLen bytes: a K-th of
// it, rounded up to Align. It is at least Align, so that no shard is empty.
func (p Profile) ShardSize(sealedLen int) int {
	k := int(p.K)
	size := (sealedLen + k - 1) / k
	return max((size+Align-1)/Align*Align, Align)
}

// StripeSize returns the bytes of all shards of a sealed chunk of sealedLen bytes.
func (p Profile) StripeSize(sealedLen int) int { return p.ShardSize(sealedLen) * p.Width() }
