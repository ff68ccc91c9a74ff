package demo

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows what the demo does: one line that changes on a terminal, plain lines elsewhere.
type progress struct {
	out  *os.File
	live bool
	quit chan struct{}
	once sync.Once
	done sync.WaitGroup

	mu     sync.Mutex
	name   string
	status func() string
	began  time.Time
}

func newProgress(out *os.File) *progress {
	return &progress{out: out, live: term.IsTerminal(int(out.Fd())), quit: make(chan struct{}), began: time.Now()}
}

// phase names what is being done now.
func (p *progress) phase(name string) {
	p.mu.Lock()
	p.name = name
	p.mu.Unlock()
	if p.live {
		p.draw()
		return
	}
	p.say("%s", name)
}

// say prints a line that stays.
func (p *progress) say(format string, args ...any) {
	p.text(fmt.Sprintf("%5.1fs  %s", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...)))
}

// text prints lines as they are, which stay.
func (p *progress) text(lines string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintln(p.out, lines)
}

// watch shows the status again and again until stop, five times a second on a terminal, every two seconds elsewhere.
func (p *progress) watch(status func() string) {
	p.mu.Lock()
	p.status = status
	p.mu.Unlock()
	every := 2 * time.Second
	if p.live {
		every = 200 * time.Millisecond
	}
	p.done.Add(1)
	go p.run(every)
}

func (p *progress) run(every time.Duration) {
	defer p.done.Done()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
			if p.live {
				p.draw()
			} else {
				p.say("%s", p.status())
			}
		}
	}
}

// draw redraws the line of a terminal.
func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf("%5.1fs  %s", time.Since(p.began).Seconds(), p.name)
	if p.status != nil {
		line += ": " + p.status()
	}
	if width, _, err := term.GetSize(int(p.out.Fd())); err == nil && width > 1 && len(line) >= width {
		line = line[:width-1]
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s", line)
}

// stop ends the display and frees its line; it may be called twice.
func (p *progress) stop() {
	p.once.Do(func() {
		close(p.quit)
		p.done.Wait()
		if p.live {
			fmt.Fprint(p.out, "\r\x1b[K")
		}
	})
}

// status is what the display shows while the load runs.
func (d *demo) status() string {
	return fmt.Sprintf("%d changes committed, %d events in the topics", d.load.changes(), d.events.count())
}
