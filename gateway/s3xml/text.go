package s3xml

import (
	"time"
	"unicode/utf8"
)

// Header opens every document.
const header = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

const hexDigits = "0123456789ABCDEF"

// escapes says what stands for a byte in XML text. Control characters become character
// references, as S3 sends them: a key may hold them, and a client that cannot read
// such references asks for encoding-type=url
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html#object-key-xml-related-constraints).
var escapes = func() (table [256]string) {
	for c := range 0x20 {
		table[c] = "&#x" + string(hexDigits[c>>4]) + string(hexDigits[c&15]) + ";"
		if c < 16 {
			table[c] = "&#x" + string(hexDigits[c]) + ";"
		}
	}
	table[0x7f] = "&#x7F;"
	table['\n'], table['\r'] = "&#10;", "&#13;"
	table['&'], table['<'], table['>'] = "&amp;", "&lt;", "&gt;"
	table['"'], table['\''] = "&quot;", "&apos;"
	return table
}()

// plainInText says which bytes are written as they are.
var plainInText = func() (table [256]bool) {
	for c := range utf8.RuneSelf {
		table[c] = escapes[c] == ""
	}
	return table
}()

// appendText appends s as XML text. Bytes that are not UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	n := 0
	for n < len(s) && plainInText[s[n]] {
		n++
	}
	if n == len(s) {
		return append(b, s...)
	}
	return appendOddText(append(b, s[:n]...), s[n:])
}

// appendOddText is appendText for what has something to escape.
func appendOddText(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if esc := escapes[c]; esc != "" {
				b = append(append(b, s[start:i]...), esc...)
				start = i + 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == 0xFFFE || r == 0xFFFF {
			b = utf8.AppendRune(append(b, s[start:i]...), utf8.RuneError)
			start = i + size
		}
		i += size
	}
	return append(b, s[start:]...)
}

// plainInURL says which bytes encoding-type=url leaves as they are.
var plainInURL = func() (table [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.*/" {
		table[c] = true
	}
	return table
}()

// appendURL appends s as encoding-type=url does: percent escapes, "+" for a space, and
// "/" as it is.
func appendURL(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case plainInURL[c]:
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// appendKey appends a key, encoded when the client asked for that.
func appendKey(b []byte, key string, url bool) []byte {
	if url {
		return appendURL(b, key)
	}
	return appendText(b, key)
}

// open and shut append an element's tags.
func open(b []byte, name string) []byte { return append(append(append(b, '<'), name...), '>') }

func shut(b []byte, name string) []byte { return append(append(append(b, '<', '/'), name...), '>') }

// element appends an element with text.
func element(b []byte, name, text string) []byte {
	return shut(appendText(open(b, name), text), name)
}

// some appends an element when there is text for it.
func some(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return element(b, name, text)
}

// keyElement appends an element whose text is a key or a piece of one.
func keyElement(b []byte, name, key string, url bool) []byte {
	return shut(appendKey(open(b, name), key, url), name)
}

func number(b []byte, name string, n int64) []byte {
	return shut(appendInt(open(b, name), n), name)
}

func boolean(b []byte, name string, v bool) []byte {
	if v {
		return shut(append(open(b, name), "true"...), name)
	}
	return shut(append(open(b, name), "false"...), name)
}

func instant(b []byte, name string, t time.Time) []byte {
	return shut(appendTime(open(b, name), t), name)
}

// quoted appends an element with an ETag in quotes.
func quoted(b []byte, name, etag string) []byte {
	b = append(open(b, name), "&quot;"...)
	b = append(appendText(b, etag), "&quot;"...)
	return shut(b, name)
}

// appendTime appends t as S3 writes times in XML. Times are whole seconds, as
// Last-Modified is, so that the two never differ.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = two(two(b, year/100), year%100)
	b = two(append(b, '-'), int(month))
	b = two(append(b, '-'), day)
	b = two(append(b, 'T'), hour)
	b = two(append(b, ':'), minute)
	b = two(append(b, ':'), second)
	return append(b, ".000Z"...)
}

func two(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendInt(append(b, '-'), -n)
	}
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return append(b, digits[i:]...)
		}
	}
}

// begin and end append the header and the root element of a document.
func begin(b []byte, root string) []byte {
	b = append(b, header...)
	b = append(append(b, '<'), root...)
	return append(append(append(b, ` xmlns="`...), namespace...), `">`...)
}

func end(b []byte, root string) []byte { return shut(b, root) }
