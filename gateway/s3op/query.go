package s3op

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Param is one parameter of a query string, decoded.
type Param struct {
	Name, Value string
	// Bare says that the parameter had no "=", as sub-resources are written.
	Bare bool
}

// Query is a query string's parameters in the order in which they came. A handful of
// parameters is searched faster in a slice than hashed into a map.
type Query []Param

// queryMax bounds the parameters of one request; a header block of 32 KiB could
// carry 16,000.
const queryMax = 128

// ErrQuery says that a query string cannot be decoded.
var ErrQuery = errors.New("query string cannot be decoded")

// ParseQuery decodes a raw query string once. "+" is a space. It returns ErrQuery for
// a bad escape, for text that is not UTF-8, and for more than 128 parameters.
func ParseQuery(raw string) (Query, error) {
	if raw == "" {
		return nil, nil
	}
	q := make(Query, 0, strings.Count(raw, "&")+1)
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if len(q) == queryMax {
			return nil, ErrQuery
		}
		name, value, found := strings.Cut(pair, "=")
		name, ok := unescapeQuery(name)
		if !ok {
			return nil, ErrQuery
		}
		if value, ok = unescapeQuery(value); !ok {
			return nil, ErrQuery
		}
		q = append(q, Param{Name: name, Value: value, Bare: !found})
	}
	return q, nil
}

// Lookup gives the value of the first parameter of that name, and whether there is one.
func (q Query) Lookup(name string) (string, bool) {
	for i := range q {
		if q[i].Name == name {
			return q[i].Value, true
		}
	}
	return "", false
}

// Get gives the value of the first parameter of that name, or "".
func (q Query) Get(name string) string {
	v, _ := q.Lookup(name)
	return v
}

// Has says whether there is a parameter of that name.
func (q Query) Has(name string) bool {
	_, ok := q.Lookup(name)
	return ok
}

// unescapeQuery decodes percent escapes and "+". It refuses bad escapes and what is
// not UTF-8 afterwards.
func unescapeQuery(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, utf8.ValidString(s)
	}
	return unescape(s, true)
}

// unescape decodes the percent escapes of s once, and "+" as a space when plus is set.
func unescape(s string, plus bool) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := fromHex(s[i+1]), fromHex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			out = append(out, byte(hi<<4|lo))
			i += 2
		case c == '+' && plus:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out), utf8.Valid(out)
}

func fromHex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
