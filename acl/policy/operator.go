package policy

import (
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/acl"
)

// operator compares one value of a request with one of a policy. A negated operator is true where
// its positive is false (IAM User Guide, "Condition operators").
type operator struct {
	read    func(text string, s syntax) (operand, error)
	negated bool
	kinds   []keyKind // keys it may be used on; nil means any
}

// operand is a value of a policy, ready to be compared.
type operand interface {
	equals(value string, r *acl.Request) bool
}

var (
	onText    = []keyKind{keyString, keyARN, keyBool, keyNumber, keyDate, keyAddress}
	onNumber  = []keyKind{keyNumber}
	onDate    = []keyKind{keyDate}
	onBool    = []keyKind{keyBool}
	onAddress = []keyKind{keyAddress}
	onARN     = []keyKind{keyARN, keyString}
)

var operators = map[string]operator{
	"StringEquals":              {read: readText, kinds: onText},
	"StringNotEquals":           {read: readText, kinds: onText, negated: true},
	"StringEqualsIgnoreCase":    {read: readFolded, kinds: onText},
	"StringNotEqualsIgnoreCase": {read: readFolded, kinds: onText, negated: true},
	"StringLike":                {read: readLike, kinds: onText},
	"StringNotLike":             {read: readLike, kinds: onText, negated: true},
	"NumericEquals":             {read: numeric(func(c int) bool { return c == 0 }), kinds: onNumber},
	"NumericNotEquals":          {read: numeric(func(c int) bool { return c == 0 }), kinds: onNumber, negated: true},
	"NumericLessThan":           {read: numeric(func(c int) bool { return c < 0 }), kinds: onNumber},
	"NumericLessThanEquals":     {read: numeric(func(c int) bool { return c <= 0 }), kinds: onNumber},
	"NumericGreaterThan":        {read: numeric(func(c int) bool { return c > 0 }), kinds: onNumber},
	"NumericGreaterThanEquals":  {read: numeric(func(c int) bool { return c >= 0 }), kinds: onNumber},
	"DateEquals":                {read: date(func(c int) bool { return c == 0 }), kinds: onDate},
	"DateNotEquals":             {read: date(func(c int) bool { return c == 0 }), kinds: onDate, negated: true},
	"DateLessThan":              {read: date(func(c int) bool { return c < 0 }), kinds: onDate},
	"DateLessThanEquals":        {read: date(func(c int) bool { return c <= 0 }), kinds: onDate},
	"DateGreaterThan":           {read: date(func(c int) bool { return c > 0 }), kinds: onDate},
	"DateGreaterThanEquals":     {read: date(func(c int) bool { return c >= 0 }), kinds: onDate},
	"Bool":                      {read: readBool, kinds: onBool},
	"IpAddress":                 {read: readAddress, kinds: onAddress},
	"NotIpAddress":              {read: readAddress, kinds: onAddress, negated: true},
	"ArnEquals":                 {read: readARN, kinds: onARN},
	"ArnLike":                   {read: readARN, kinds: onARN},
	"ArnNotEquals":              {read: readARN, kinds: onARN, negated: true},
	"ArnNotLike":                {read: readARN, kinds: onARN, negated: true},
	"Null":                      {read: readBool},
}

// OperatorNames lists the operators, without quantifiers and IfExists.
func OperatorNames() []string { return slices.Sorted(maps.Keys(operators)) }

// fits says whether the operator may be used on a key.
func (o *operator) fits(k *conditionKey) bool {
	for _, kind := range o.kinds {
		if kind == k.kind {
			return true
		}
	}
	return o.kinds == nil
}

type textOperand struct{ *pattern }

func (t textOperand) equals(value string, r *acl.Request) bool { return t.match(value, r) }

func readText(text string, s syntax) (operand, error) {
	s.wildcards = false
	p, err := compile(text, s)
	return textOperand{p}, err
}

func readFolded(text string, s syntax) (operand, error) {
	s.wildcards = false
	p, err := compile(text, s)
	if err != nil {
		return nil, err
	}
	return textOperand{p.fold()}, nil
}

func readLike(text string, s syntax) (operand, error) {
	s.wildcards = true
	p, err := compile(text, s)
	return textOperand{p}, err
}

// numberLengthMax bounds a number's text: beyond it nothing in S3 counts.
const numberLengthMax = 32

type numberOperand struct {
	n     *big.Rat
	holds func(c int) bool
}

func (o numberOperand) equals(value string, _ *acl.Request) bool {
	n, ok := parseNumber(value)
	return ok && o.holds(n.Cmp(o.n))
}

func numeric(holds func(int) bool) func(string, syntax) (operand, error) {
	return func(text string, _ syntax) (operand, error) {
		n, ok := parseNumber(text)
		if !ok {
			return nil, refuse("%q is not a number.", text)
		}
		return numberOperand{n, holds}, nil
	}
}

// parseNumber reads a decimal number without exponent.
func parseNumber(text string) (*big.Rat, bool) {
	digits := strings.TrimPrefix(text, "-")
	if text == "" || len(text) > numberLengthMax || strings.Trim(digits, "0123456789.") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

type dateOperand struct {
	at    time.Time
	holds func(c int) bool
}

func (o dateOperand) equals(value string, _ *acl.Request) bool {
	at, ok := parseDate(value)
	return ok && o.holds(at.Compare(o.at))
}

func date(holds func(int) bool) func(string, syntax) (operand, error) {
	return func(text string, _ syntax) (operand, error) {
		at, ok := parseDate(text)
		if !ok {
			return nil, refuse("%q is not a date: write it as 2027-01-31T00:00:00Z, or in seconds since 1970.", text)
		}
		return dateOperand{at, holds}, nil
	}
}

// parseDate reads a W3C profile of ISO 8601, or seconds since 1970.
func parseDate(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 48)
	return time.Unix(seconds, 0), err == nil
}

type boolOperand bool

func (o boolOperand) equals(value string, _ *acl.Request) bool {
	b, ok := parseBool(value)
	return ok && b == bool(o)
}

func readBool(text string, _ syntax) (operand, error) {
	b, ok := parseBool(text)
	if !ok {
		return nil, refuse("%q is neither true nor false.", text)
	}
	return boolOperand(b), nil
}

func parseBool(text string) (value, ok bool) {
	switch {
	case strings.EqualFold(text, "true"):
		return true, true
	case strings.EqualFold(text, "false"):
		return false, true
	}
	return false, false
}

type addressOperand netip.Prefix

func (o addressOperand) equals(value string, _ *acl.Request) bool {
	a, err := netip.ParseAddr(value)
	return err == nil && netip.Prefix(o).Contains(a.Unmap().WithZone(""))
}

func readAddress(text string, _ syntax) (operand, error) {
	if p, err := netip.ParsePrefix(text); err == nil && !p.Addr().Is4In6() {
		return addressOperand(p.Masked()), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return nil, refuse("%q is not an address or a range such as 192.0.2.0/24.", text)
	}
	return addressOperand(netip.PrefixFrom(a, a.BitLen())), nil
}

// arnParts is how many parts an ARN has: arn:partition:service:region:account:resource. Wildcards
// do not reach over the colons between them.
const arnParts = 6

type arnOperand [arnParts]*pattern

func (o arnOperand) equals(value string, r *acl.Request) bool {
	parts := strings.SplitN(value, ":", arnParts)
	if len(parts) != arnParts {
		return false
	}
	for i, p := range o {
		if !p.match(parts[i], r) {
			return false
		}
	}
	return true
}

func readARN(text string, s syntax) (operand, error) {
	var o arnOperand
	parts := splitARN(text)
	if len(parts) != arnParts || parts[0] != "arn" {
		return nil, refuse("%q is not an ARN.", text)
	}
	s.wildcards = true
	for i, part := range parts {
		var err error
		if o[i], err = compile(part, s); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// splitARN cuts at the first five colons that are not inside a variable.
func splitARN(text string) []string {
	var parts []string
	inside, from := false, 0
	for i := 0; i < len(text) && len(parts) < arnParts-1; i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			inside = true
		case text[i] == '}':
			inside = false
		case text[i] == ':' && !inside:
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}
