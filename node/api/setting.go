package api

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Setting is something that an operator may change while the store runs.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`   // "" means the default
	Default string `json:"default"` // in words, where it is computed
	Meaning string `json:"meaning"`
}

// SettingChange is what an operator does to a setting.
type SettingChange struct {
	Name  string `json:"name"`
	Value string `json:"value"` // "" goes back to the default
	// Force also sets a rule for addresses that cuts off a member.
	Force bool `json:"force,omitempty"`
}

// Names of the settings.
const (
	SettingSurvives     = "survives"
	SettingErasure      = "erasure"
	SettingVoters       = "voters"
	SettingReplaceAfter = "replace-after"
	SettingMoveRate     = "move-rate"

	SettingStaleIdentity = "stale-identity"

	// What clients may take of one gateway.
	SettingSourceRequests     = "source-requests"
	SettingSourceBandwidth    = "source-bandwidth"
	SettingSourceParallel     = "source-parallel"
	SettingSourceConnections  = "source-connections"
	SettingSourceFailures     = "source-failures"
	SettingPrincipalRequests  = "principal-requests"
	SettingPrincipalBandwidth = "principal-bandwidth"
	SettingPrincipalParallel  = "principal-parallel"
)

// SourceFailures is the default of SettingSourceFailures.
const SourceFailures = 10

// PrincipalParallel is the default of SettingPrincipalParallel: half of what a gateway serves at once.
const PrincipalParallel = 512

// Bounds of settings.
const (
	ReplaceAfterMin = time.Minute
	ReplaceAfterMax = 30 * 24 * time.Hour
	MoveRateMin     = 64 << 10 // bytes per second
	// StaleIdentity is the default of SettingStaleIdentity, in time.
	StaleIdentity    = time.Hour
	StaleIdentityMax = 30 * 24 * time.Hour
	dataShardsMax    = 16
	parityShardsMax  = 8
)

// rule is a setting with the check of its values.
type rule struct {
	Setting
	takes string // what the values are
	ok    func(value string) bool
}

var rules = []rule{
	{Setting{SettingSurvives, "", "1 node", "what may be lost while every object can be read"}, `"1 site", "2 nodes", "nothing", or "" for the default`,
		func(v string) bool { return v == "1 site" || v == "2 nodes" || v == "nothing" }},
	{Setting{SettingErasure, "", "by the number of nodes and drives", "data and parity shards of new chunks, k+m"}, `k+m such as 4+2, 1 to 16 data and 0 to 8 parity shards`, validErasure},
	{Setting{SettingVoters, "", "by the number of nodes", "most voters of a metadata group"}, `1, 2, 3 or 5`,
		func(v string) bool { return v == "1" || v == "2" || v == "3" || v == "5" }},
	{Setting{SettingReplaceAfter, "", "10m", "time after which a dead node is replaced by others"}, `a time of 1m to 720h`, validReplaceAfter},
	{Setting{SettingMoveRate, "", "by what requests leave over", "bytes per second that a node moves, codes anew or heals at most"}, takesRate, validRate},
	{Setting{SettingStaleIdentity, "", "1h", "time for which a site that is cut off trusts the access keys that it knows, for buckets bound to it"}, `a time of 0s (never) to 720h`,
		func(v string) bool {
			d, err := time.ParseDuration(v)
			return err == nil && d >= 0 && d <= StaleIdentityMax
		}},
	{Setting{SettingSourceRequests, "", "no bound", "requests per second that an address may send to a gateway"}, takesCount, validCount},
	{Setting{SettingSourceBandwidth, "", "no bound", "bytes per second of bodies that an address may send to and get from a gateway"}, takesRate, validRate},
	{Setting{SettingSourceParallel, "", "256, a quarter of what a gateway serves at once", "requests that an address may have under way at a gateway"}, takesCount, validCount},
	{Setting{SettingSourceConnections, "", "4096, or half of what a gateway holds when that is fewer", "connections that an address may have to a gateway; loopback and trusted proxies may have any number"}, takesCount, validCount},
	{Setting{SettingSourceFailures, "", "10", "wrong signatures per second that an address may send to a gateway before its unproven keys wait"}, takesCount, validCount},
	{Setting{SettingPrincipalRequests, "", "no bound", "requests per second that a user may send to a gateway"}, takesCount, validCount},
	{Setting{SettingPrincipalBandwidth, "", "no bound", "bytes per second of bodies that a user may send to and get from a gateway"}, takesRate, validRate},
	{Setting{SettingPrincipalParallel, "", "512, half of what a gateway serves at once", "requests that a user may have under way at a gateway"}, takesCount, validCount},
}

const (
	takesCount = "a whole number, 1 to 1000000"
	takesRate  = "a size such as 64MiB, from 64KiB"
)

func validCount(v string) bool {
	n, err := strconv.ParseUint(v, 10, 32)
	return err == nil && n >= 1 && n <= 1_000_000 && v == strconv.FormatUint(n, 10)
}

func validRate(v string) bool {
	_, err := ParseMoveRate(v)
	return err == nil
}

// KnownSettings lists every setting of this release, without values.
func KnownSettings() []Setting {
	out := make([]Setting, len(rules))
	for i := range rules {
		out[i] = rules[i].Setting
	}
	return out
}

// CheckSetting refuses unknown names and values that mean nothing: InvalidArgument. The empty value
// is the default of every setting.
func CheckSetting(name, value string) error {
	if _, block, ok := cutIPSetting(name); ok {
		if !validIPRule(block, value) {
			return Invalid("api.CheckSetting", `A rule for addresses is named ip/BLOCK or peer-ip/BLOCK, such as ip/192.0.2.0/24, and takes "block", "allow", or "" for none.`)
		}
		return nil
	}
	for i := range rules {
		switch r := &rules[i]; {
		case r.Name != name:
		case value == "" || r.ok(value):
			return nil
		default:
			return Invalid("api.CheckSetting", "The setting "+name+" takes "+r.takes+".")
		}
	}
	return Invalid("api.CheckSetting", "There is no such setting.")
}

func validErasure(v string) bool {
	data, parity, ok := strings.Cut(v, "+")
	k, err := strconv.ParseUint(data, 10, 8)
	m, merr := strconv.ParseUint(parity, 10, 8)
	return ok && err == nil && merr == nil && k >= 1 && k <= dataShardsMax && m <= parityShardsMax &&
		v == strconv.FormatUint(k, 10)+"+"+strconv.FormatUint(m, 10)
}

func validReplaceAfter(v string) bool {
	d, err := time.ParseDuration(v)
	return err == nil && d >= ReplaceAfterMin && d <= ReplaceAfterMax
}

// ParseMoveRate reads a value of SettingMoveRate: bytes per second, a whole number with one of the
// units B, KiB, MiB, GiB, or none.
func ParseMoveRate(v string) (bytesPerSecond int64, err error) {
	digits, unit := v, int64(1)
	for _, u := range [...]struct {
		suffix string
		bytes  int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}} {
		if d, ok := strings.CutSuffix(v, u.suffix); ok {
			digits, unit = d, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/unit || n*unit < MoveRateMin {
		return 0, Invalid("api.ParseMoveRate", "The rate must be a size such as 64MiB, from 64KiB.")
	}
	return n * unit, nil
}
