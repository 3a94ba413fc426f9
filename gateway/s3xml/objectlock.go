package s3xml

import (
	"strconv"
	"time"

	"shoal/node/api"
)

// MaxObjectLock bounds the documents of object lock in bytes.
const MaxObjectLock = 16 << 10

// LockConfiguration is the request of PutObjectLockConfiguration.
type LockConfiguration struct {
	Rule        bool // a default retention is given
	Mode        api.LockMode
	Days, Years *int // as sent, whatever they are
}

// ParseLockConfiguration reads the document of PutObjectLockConfiguration. ErrMalformed for what the
// document cannot be: a rule without mode, or with days and years at once, among it.
func ParseLockConfiguration(text []byte) (LockConfiguration, error) {
	var c LockConfiguration
	p, err := newParser(text, 32)
	if err != nil {
		return c, err
	}
	once := seen{}
	err = p.document("ObjectLockConfiguration", func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		switch name {
		case "ObjectLockEnabled":
			text, err := p.text()
			if err == nil && text != "Enabled" {
				err = malformed("ObjectLockEnabled %s", text)
			}
			return err
		case "Rule":
			c.Rule = true
			return p.children(func(name string) error {
				if name != "DefaultRetention" {
					return malformed("element %s", name)
				}
				if err := once.again(name); err != nil {
					return err
				}
				return p.defaultRetention(&c)
			})
		}
		return malformed("element %s", name)
	})
	switch {
	case err != nil:
		return c, err
	case !once["ObjectLockEnabled"]:
		return c, malformed("no ObjectLockEnabled")
	case c.Rule && (c.Mode == api.NoRetention || (c.Days == nil) == (c.Years == nil)):
		return c, malformed("default retention")
	}
	return c, nil
}

// defaultRetention reads a DefaultRetention element.
func (p *parser) defaultRetention(c *LockConfiguration) error {
	once := seen{}
	return p.children(func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		text, err := p.text()
		if err != nil {
			return err
		}
		switch name {
		case "Mode":
			c.Mode, err = parseMode(text)
		case "Days":
			c.Days, err = parsePeriod(name, text)
		case "Years":
			c.Years, err = parsePeriod(name, text)
		default:
			err = malformed("element %s", name)
		}
		return err
	})
}

func parsePeriod(name, text string) (*int, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil, malformed("%s %s", name, text)
	}
	v := int(n)
	return &v, nil
}

func parseMode(text string) (api.LockMode, error) {
	if mode, ok := LockMode(text); ok {
		return mode, nil
	}
	return api.NoRetention, malformed("Mode %s", text)
}

// LockMode reads the name of a retention's mode.
func LockMode(name string) (api.LockMode, bool) {
	switch name {
	case "GOVERNANCE":
		return api.Governance, true
	case "COMPLIANCE":
		return api.Compliance, true
	}
	return api.NoRetention, false
}

// LockModeName is a mode as S3 writes it.
func LockModeName(m api.LockMode) string {
	if m == api.Governance {
		return "GOVERNANCE"
	}
	return "COMPLIANCE"
}

// AppendLockConfiguration appends the document of GetObjectLockConfiguration
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLockConfiguration.html).
func AppendLockConfiguration(b []byte, def api.DefaultRetention) []byte {
	const root = "ObjectLockConfiguration"
	b = element(begin(b, root), "ObjectLockEnabled", "Enabled")
	if def.Mode == api.NoRetention {
		return end(b, root)
	}
	b = element(open(open(b, "Rule"), "DefaultRetention"), "Mode", LockModeName(def.Mode))
	if def.Days > 0 {
		b = number(b, "Days", int64(def.Days))
	} else {
		b = number(b, "Years", int64(def.Years))
	}
	return end(shut(shut(b, "DefaultRetention"), "Rule"), root)
}

// ParseRetention reads the document of PutObjectRetention; an empty one is NoRetention. ErrMalformed for
// what the document cannot be.
func ParseRetention(text []byte) (api.LockMode, time.Time, error) {
	var mode api.LockMode
	var until time.Time
	p, err := newParser(text, 16)
	if err != nil {
		return mode, until, err
	}
	once := seen{}
	err = p.document("Retention", func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		text, err := p.text()
		if err != nil {
			return err
		}
		switch name {
		case "Mode":
			mode, err = parseMode(text)
		case "RetainUntilDate":
			if until, err = time.Parse(time.RFC3339, text); err != nil {
				err = malformed("RetainUntilDate %s", text)
			}
		default:
			err = malformed("element %s", name)
		}
		return err
	})
	if err == nil && once["Mode"] != once["RetainUntilDate"] {
		err = malformed("mode without date or date without mode")
	}
	return mode, until, err
}

// AppendRetention appends the document of GetObjectRetention
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html).
func AppendRetention(b []byte, l *api.Lock) []byte {
	const root = "Retention"
	b = element(begin(b, root), "Mode", LockModeName(l.Mode))
	return end(instant(b, "RetainUntilDate", l.Until), root)
}

// ParseLegalHold reads the document of PutObjectLegalHold. ErrMalformed for what the document cannot be.
func ParseLegalHold(text []byte) (on bool, err error) {
	p, err := newParser(text, 16)
	if err != nil {
		return false, err
	}
	once := seen{}
	err = p.document("LegalHold", func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		text, err := p.text()
		if err == nil && (name != "Status" || text != "ON" && text != "OFF") {
			err = malformed("%s %s", name, text)
		}
		on = text == "ON"
		return err
	})
	if err == nil && !once["Status"] {
		err = malformed("no Status")
	}
	return on, err
}

// AppendLegalHold appends the document of GetObjectLegalHold
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html).
func AppendLegalHold(b []byte, on bool) []byte {
	const root = "LegalHold"
	status := "OFF"
	if on {
		status = "ON"
	}
	return end(element(begin(b, root), "Status", status), root)
}
