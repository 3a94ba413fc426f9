package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// list is a flag that may be repeated; each Set adds a value. In a variable, commas
// separate the values.
type list []string

// Set adds one value.
func (l *list) Set(v string) error {
	if v == "" {
		return fmt.Errorf("a value is empty")
	}
	*l = append(*l, v)
	return nil
}

// String joins the values with commas.
func (l *list) String() string { return strings.Join(*l, ",") }

// Type names the kind of value in help texts.
func (l *list) Type() string { return "list" }

// byteCount is a flag that holds a size in bytes, written with a binary unit.
type byteCount int64

var byteUnits = [...]struct {
	suffix string
	bytes  int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// Set parses a whole number with one of the units B, KiB, MiB, GiB, TiB, or none (bytes).
func (b *byteCount) Set(v string) error {
	for _, u := range byteUnits {
		digits, ok := strings.CutSuffix(v, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*b = byteCount(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size such as 64MiB", v)
}

// String writes the size in the largest unit that divides it.
func (b *byteCount) String() string { return formatExact(int64(*b)) }

// Type names the kind of value in help texts.
func (b *byteCount) Type() string { return "size" }

func formatExact(n int64) string {
	for _, u := range byteUnits {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// formatSize writes a size for people: three digits or so and a binary unit.
func formatSize(n int64) string {
	for _, u := range byteUnits[:4] {
		if n >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.suffix)
		}
	}
	return strconv.FormatInt(n, 10) + " B"
}
