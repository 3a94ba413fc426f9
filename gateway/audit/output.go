package audit

import (
	"time"
)

// output is lines on their way to the file.
type output struct {
	text  []byte
	done  int // bytes of text that are written
	lines []outLine
	buf   []byte // text's memory, kept for the next
}

// outLine is one of the lines.
type outLine struct {
	end  int // in the text
	at   position
	note *note // nil for a record of a batch
}

// spareMax bounds the memory that is kept for the next output, in bytes.
const spareMax = 1 << 20

// try writes what is left of earlier output, then what goes ahead, then the batch. It may be called again
// after an error: no line is lost, doubled or torn.
func (l *Log) try(b *batch) error {
	if err := l.ready(int64(len(b.bodies))); err != nil {
		return err
	}
	if err := l.write(); err != nil {
		return err
	}
	if !b.began {
		l.compose(b)
		if err := l.write(); err != nil {
			return err
		}
	}
	if l.cfg.Sync && len(b.ends) > 0 {
		return l.file.Sync()
	}
	return nil
}

// compose puts what goes ahead and a batch into the output, which is empty.
func (l *Log) compose(b *batch) {
	b.began = true
	if l.lost.records > 0 {
		l.ahead = append(l.ahead, &note{kind: eventShed, control: control{
			Time: l.cfg.Now(), Records: l.lost.records, Since: string(appendTime(nil, l.lost.since)),
		}})
		l.lost = shedding{}
	}
	if n := l.takeRefused(); n != nil {
		l.ahead = append(l.ahead, n)
	}
	at := l.at
	o := &l.out
	o.text = o.buf[:0]
	var body []byte
	for _, n := range l.ahead {
		body = appendBody(body[:0], n)
		o.text = appendLine(o.text, &at, body)
		o.lines = append(o.lines, outLine{len(o.text), at, n})
	}
	l.ahead = nil
	from := 0
	for _, end := range b.ends {
		o.text = appendLine(o.text, &at, b.bodies[from:end])
		o.lines = append(o.lines, outLine{end: len(o.text), at: at})
		from = end
	}
	o.buf = o.text
}

// write gives the output to the file.
func (l *Log) write() error {
	o := &l.out
	if len(o.text) == 0 {
		return nil
	}
	n, err := l.file.Write(o.text[o.done:])
	o.done += n
	if err != nil {
		l.wrote(int64(n), 0)
		return err
	}
	k := len(o.lines)
	if k > 0 { // none where a torn line was closed off
		l.at = o.lines[k-1].at
		l.records += k
	}
	l.wrote(int64(n), k)
	l.clearOutput()
	return nil
}

func (l *Log) clearOutput() {
	o := &l.out
	o.text, o.done, o.lines = nil, 0, o.lines[:0]
	if cap(o.buf) > spareMax {
		o.buf, o.lines = nil, nil
	}
}

// shed gives up those lines of the output that are not begun, and the batch if it is none of it.
func (l *Log) shed(b *batch) {
	dropped := int64(0)
	if !b.began {
		dropped = int64(len(b.ends))
	} else {
		dropped = l.cutOutput()
	}
	if dropped == 0 {
		return
	}
	if l.lost.records == 0 {
		l.lost.since = l.cfg.Now()
	}
	l.lost.records += dropped
	l.shedTotal.Add(dropped)
}

// cutOutput ends the output behind the line that is begun, and counts the records behind it. Notes among
// them go ahead of what comes next.
func (l *Log) cutOutput() (dropped int64) {
	o := &l.out
	if len(o.lines) == 0 {
		return 0 // the line end behind a torn line is still to come
	}
	keep, begins := 0, 0
	for keep < len(o.lines) && (o.lines[keep].end <= o.done || o.done > begins) {
		begins = o.lines[keep].end
		keep++
	}
	var back []*note
	for _, line := range o.lines[keep:] {
		switch {
		case line.note == nil:
			dropped++
		case line.note.kind == eventShed:
			l.lost.records += line.note.Records
			l.lost.since, _ = time.Parse(time.RFC3339Nano, line.note.Since)
		default:
			back = append(back, line.note)
		}
	}
	l.ahead = append(back, l.ahead...)
	o.text, o.lines = o.text[:begins], o.lines[:keep]
	if begins == o.done { // no line is torn
		if keep > 0 {
			l.at = o.lines[keep-1].at
			l.records += keep
			l.wrote(0, keep)
		}
		l.clearOutput()
	}
	return dropped
}
