package policy

import (
	"strings"
	"unicode/utf8"

	"shoal/acl"
)

// pattern is a text with wildcards and policy variables. Any character of a request stands only for
// itself: what a variable is replaced by is never a wildcard.
type pattern struct {
	parts []part
	// plain is the whole text where there is neither wildcard nor variable, or all before one star at the end.
	plain  string
	shape  shape
	folded bool // compares without regard to case
}

type shape uint8

const (
	shapeParts   shape = iota
	shapeLiteral       // equals plain
	shapePrefix        // begins with plain
)

// part is a literal text, a wildcard or a variable.
type part struct {
	kind     partKind
	text     string // literal, or name of the variable in lower case
	fallback string // of a variable that the request does not have
	hasFall  bool
}

type partKind uint8

const (
	partText partKind = iota
	partStar          // * : any characters
	partAny           // ? : one character
	partVariable
)

// syntax says what is special in a text.
type syntax struct {
	wildcards bool
	variables bool // Version 2012-10-17
}

// compile reads a text. An error says what is wrong with a variable.
func compile(text string, s syntax) (*pattern, error) {
	p := new(pattern)
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			p.parts = append(p.parts, part{text: lit.String()})
			lit.Reset()
		}
	}
	for rest := text; rest != ""; {
		switch {
		case s.wildcards && rest[0] == '*':
			flush()
			if n := len(p.parts); n == 0 || p.parts[n-1].kind != partStar {
				p.parts = append(p.parts, part{kind: partStar})
			}
			rest = rest[1:]
		case s.wildcards && rest[0] == '?':
			flush()
			p.parts = append(p.parts, part{kind: partAny})
			rest = rest[1:]
		case s.variables && strings.HasPrefix(rest, "${"):
			inside, after, ok := strings.Cut(rest[2:], "}")
			if !ok {
				return nil, refuse("%q has a variable without an end.", text)
			}
			rest = after
			if inside == "*" || inside == "?" || inside == "$" {
				lit.WriteString(inside)
				continue
			}
			v, err := variable(inside)
			if err != nil {
				return nil, err
			}
			flush()
			p.parts = append(p.parts, v)
		default:
			lit.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	flush()
	p.classify()
	return p, nil
}

// variable reads what stands between ${ and }: a name, and perhaps what to take when the request
// has no such key: ${aws:username, 'nobody'}.
func variable(text string) (part, error) {
	name, fallback, has := strings.Cut(text, ",")
	v := part{kind: partVariable, text: strings.ToLower(strings.TrimSpace(name)), hasFall: has}
	if k := lookupKey(v.text); k == nil {
		return v, refuse("There is no policy variable ${%s}.", name)
	} else if k.multi {
		return v, refuse("${%s} can have several values and cannot be a policy variable.", name)
	}
	if has {
		fallback = strings.TrimSpace(fallback)
		if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
			return v, refuse("The default of ${%s} must be in single quotes.", text)
		}
		v.fallback = fallback[1 : len(fallback)-1]
	}
	return v, nil
}

func (p *pattern) classify() {
	switch {
	case len(p.parts) == 0:
		p.shape = shapeLiteral
	case len(p.parts) == 1 && p.parts[0].kind == partText:
		p.shape, p.plain = shapeLiteral, p.parts[0].text
	case len(p.parts) == 1 && p.parts[0].kind == partStar:
		p.shape = shapePrefix
	case len(p.parts) == 2 && p.parts[0].kind == partText && p.parts[1].kind == partStar:
		p.shape, p.plain = shapePrefix, p.parts[0].text
	}
}

// literal is the text that all that fits begins with, as far as it is known; whole says that nothing else fits.
func (p *pattern) literal() (text string, whole bool) {
	switch {
	case p.shape != shapeParts:
		return p.plain, p.shape == shapeLiteral
	case p.parts[0].kind == partText:
		return p.parts[0].text, false
	}
	return "", false
}

// fold makes the comparison one without regard to case.
func (p *pattern) fold() *pattern {
	p.folded = true
	p.plain = strings.ToLower(p.plain)
	for i := range p.parts {
		if p.parts[i].kind == partText {
			p.parts[i].text = strings.ToLower(p.parts[i].text)
		}
	}
	return p
}

// match says whether text fits. A pattern with a variable that the request does not have fits nothing.
func (p *pattern) match(text string, r *acl.Request) bool {
	if p.folded {
		text = strings.ToLower(text)
	}
	return p.matchAsIs(text, r)
}

// matchAsIs is match for a text that is in lower case where it must be.
func (p *pattern) matchAsIs(text string, r *acl.Request) bool {
	switch p.shape {
	case shapeLiteral:
		return text == p.plain
	case shapePrefix:
		return strings.HasPrefix(text, p.plain)
	}
	return p.glob(text, r)
}

// value is what a literal or a variable stands for in a request.
func (p *pattern) value(q *part, r *acl.Request) (string, bool) {
	if q.kind == partText {
		return q.text, true
	}
	value, ok := single(r, q.text)
	if !ok {
		value, ok = q.fallback, q.hasFall
	}
	if p.folded {
		value = strings.ToLower(value)
	}
	return value, ok
}

// single is the value of a key that has exactly one.
func single(r *acl.Request, name string) (string, bool) {
	values := r.Keys[name]
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// glob matches literals and wildcards. It goes back to the last star only, so its time is bounded by
// the product of the lengths.
func (p *pattern) glob(text string, r *acl.Request) bool {
	at, i := 0, 0       // where we are in the text and in the parts
	star, mark := -1, 0 // the last star, and where what it stands for ends
	for {
		if i < len(p.parts) {
			switch q := &p.parts[i]; q.kind {
			case partStar:
				star, mark = i, at
				i++
				continue
			case partAny:
				if at < len(text) {
					_, size := utf8.DecodeRuneInString(text[at:])
					at += size
					i++
					continue
				}
			default:
				value, ok := p.value(q, r)
				if !ok {
					return false
				}
				if strings.HasPrefix(text[at:], value) {
					at += len(value)
					i++
					continue
				}
			}
		} else if at == len(text) {
			return true
		}
		// What was tried does not fit: let the last star take one more character.
		if star < 0 || mark >= len(text) {
			return false
		}
		_, size := utf8.DecodeRuneInString(text[mark:])
		mark += size
		at, i = mark, star+1
	}
}
