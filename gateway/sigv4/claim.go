package sigv4

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

type signaturePlace int

const (
	unsigned signaturePlace = iota
	inHeader
	inQuery
)

// signatureKind finds where a request carries its signature.
func signatureKind(r *http.Request) (signaturePlace, error) {
	auth := r.Header["Authorization"]
	query, old := querySignature(r.URL.RawQuery)
	switch {
	case len(auth) > 0 && (query || old):
		return 0, errBothMechanisms()
	case old:
		return 0, errVersion2()
	case query:
		return inQuery, nil
	case len(auth) == 0:
		return unsigned, nil
	case len(auth) > 1:
		return 0, errHeader("only one Authorization header is allowed.")
	}
	scheme, _, _ := strings.Cut(auth[0], " ")
	switch {
	case scheme == algorithm:
		return inHeader, nil
	case scheme == "AWS":
		return 0, errVersion2()
	case strings.HasPrefix(scheme, "AWS4-ECDSA"):
		return 0, errAsymmetric()
	}
	return 0, errUnsupportedType()
}

// querySignature says whether a raw query string carries a signature, and one of version 2.
func querySignature(raw string) (query, old bool) {
	if raw == "" {
		return false, false
	}
	var key, expires bool
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential":
			query = true
		case "AWSAccessKeyId":
			key = true
		case "Signature":
			expires = true
		}
	}
	return query, key && expires
}

// parseHeader reads the Authorization header and the headers that belong to it.
func (c *claim) parseHeader(r *http.Request) error {
	text := r.Header["Authorization"][0]
	if len(text) > authHeaderMax {
		return errHeader("it is too long.")
	}
	var credential string
	for rest := text[len(algorithm):]; rest != ""; {
		var field string
		field, rest, _ = strings.Cut(rest, ",")
		name, value, ok := strings.Cut(strings.Trim(field, " "), "=")
		var into *string
		switch name {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &c.signedHeaders
		case "Signature":
			into = &c.signature
		}
		if !ok || into == nil || *into != "" || value == "" {
			return errHeader("the field %q is not valid. It takes Credential, SignedHeaders and Signature, each once.", name)
		}
		*into = value
	}
	switch {
	case credential == "":
		return errHeader("missing Credential.")
	case c.signedHeaders == "":
		return errHeader("missing SignedHeaders.")
	case c.signature == "":
		return errHeader("missing Signature.")
	case !c.parseCredential(credential):
		return errHeader("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	if err := c.readToken(r.Header); err != nil {
		return err
	}
	if err := c.parseDate(r.Header); err != nil {
		return err
	}
	sent := r.Header["X-Amz-Content-Sha256"]
	switch {
	case len(sent) == 0 && c.bodied:
		return nil
	case c.bodied && (len(sent) > 1 || len(sent[0]) != 2*hashBytes):
		return s3err.New(s3err.XAmzContentSHA256Mismatch)
	case len(sent) != 1:
		return errNoSHA256Header()
	}
	c.payloadHash = sent[0]
	return nil
}

// readToken reads the token of a session from its header.
func (c *claim) readToken(h http.Header) error {
	values, ok := h["X-Amz-Security-Token"]
	if ok && (len(values) != 1 || values[0] == "" || len(values[0]) > api.SessionTokenMax) {
		return errToken()
	}
	if ok {
		c.token = values[0]
	}
	return nil
}

// parseCredential takes "key/date/region/service/terminal" apart.
func (c *claim) parseCredential(text string) bool {
	var ok bool
	if c.accessKeyID, c.scope, ok = strings.Cut(text, "/"); !ok || c.accessKeyID == "" {
		return false
	}
	rest := c.scope
	if c.date, rest, ok = strings.Cut(rest, "/"); !ok {
		return false
	}
	if c.region, rest, ok = strings.Cut(rest, "/"); !ok {
		return false
	}
	if c.service, c.terminal, ok = strings.Cut(rest, "/"); !ok {
		return false
	}
	return !strings.Contains(c.terminal, "/")
}

// parseDate reads x-amz-date, or Date when there is none.
func (c *claim) parseDate(h http.Header) error {
	if values, ok := h["X-Amz-Date"]; ok {
		if len(values) != 1 || !c.setTime(values[0]) {
			return errNoDate()
		}
		return nil
	}
	value := headerValue(h, "Date")
	if c.setTime(value) {
		return nil
	}
	t, err := http.ParseTime(value)
	if err != nil {
		return errNoDate()
	}
	c.time = t.UTC()
	c.amzDate = c.time.Format(timeFormat)
	return nil
}

// setTime takes a time of the form 20130524T000000Z.
func (c *claim) setTime(text string) bool {
	if len(text) != len(timeFormat) || text[8] != 'T' || text[15] != 'Z' {
		return false
	}
	var field [6]int
	at := 0
	for i, width := range [...]int{4, 2, 2, 2, 2, 2} {
		if i == 3 {
			at++ // the T
		}
		for range width {
			digit := text[at] - '0'
			if digit > 9 {
				return false
			}
			field[i] = field[i]*10 + int(digit)
			at++
		}
	}
	t := time.Date(field[0], time.Month(field[1]), field[2], field[3], field[4], field[5], 0, time.UTC)
	if t.Day() != field[2] || t.Hour() != field[3] || t.Minute() != field[4] || t.Second() != field[5] {
		return false // a date such as February 30th
	}
	c.time, c.amzDate = t, text
	return true
}

// parseQuery reads the signature of a presigned URL.
func (c *claim) parseQuery(r *http.Request) error {
	c.presigned = true
	var name, credential, expires, date, hash, token string
	for rest := r.URL.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, raw, _ := strings.Cut(pair, "=")
		var into *string
		switch key {
		case "X-Amz-Algorithm":
			into = &name
		case "X-Amz-Credential":
			into = &credential
		case "X-Amz-Date":
			into = &date
		case "X-Amz-Expires":
			into = &expires
		case "X-Amz-SignedHeaders":
			into = &c.signedHeaders
		case "X-Amz-Signature":
			into = &c.signature
		case "X-Amz-Content-Sha256":
			into = &hash
		case "X-Amz-Security-Token":
			into = &token
		default:
			continue
		}
		value, err := url.QueryUnescape(raw)
		if err != nil || *into != "" || value == "" {
			return errQuery("The query parameter %s must be given once, with a value.", key)
		}
		*into = value
	}
	if name == "" || credential == "" || date == "" || expires == "" || c.signedHeaders == "" || c.signature == "" {
		return errQuery("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, " +
			"X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	}
	if strings.HasPrefix(name, "AWS4-ECDSA") {
		return errAsymmetric()
	}
	if name != algorithm {
		return errQuery("X-Amz-Algorithm only supports %q", algorithm)
	}
	if !c.parseCredential(credential) {
		return c.malformed("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	if !c.setTime(date) {
		return errQuery("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	if _, ok := r.Header["X-Amz-Security-Token"]; ok || len(token) > api.SessionTokenMax {
		return errToken()
	}
	c.token = token
	c.payloadHash = queryPayload(hash, r.Header)
	return c.parseExpires(expires)
}

// queryPayload is the payload line of a presigned request.
func queryPayload(hash string, h http.Header) string {
	if hash != "" {
		return hash
	}
	if v := headerValue(h, "X-Amz-Content-Sha256"); v != "" {
		return v
	}
	return unsignedPayload
}

func (c *claim) parseExpires(text string) error {
	seconds, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return errQuery("X-Amz-Expires should be a number")
	case seconds < 0:
		return errQuery("X-Amz-Expires must be non-negative")
	case seconds == 0:
		return errQuery("X-Amz-Expires must be at least one second")
	case seconds > presignSecsMax:
		return errQuery("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than %d seconds", presignSecsMax)
	}
	c.expires = time.Duration(seconds) * time.Second
	return nil
}
