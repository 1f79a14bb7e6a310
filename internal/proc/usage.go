package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc, which is the same for all of Linux's
// architectures that Go runs on (USER_HZ).
const tick = time.Second / 100

var errStat = errors.New("malformed /proc/PID/stat")

// A Usage is what processes have used so far, as the kernel counts it.
type Usage struct {
	CPU time.Duration // user and system, in steps of 10 ms
	RSS int64         // bytes resident; pages that several share count for each
}

// A stat is what is needed of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	pid, parent int
	cpu         time.Duration
}

// UsageOf returns what pid and its children use. It needs Linux's /proc.
func UsageOf(pid int) (Usage, error) {
	own, err := readStat(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return Usage{}, err
	}
	rss, err := resident(pid)
	if err != nil {
		return Usage{}, err
	}
	u := Usage{CPU: own.cpu, RSS: rss}
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return Usage{}, err
	}
	for _, path := range paths {
		if s, err := readStat(path); err == nil && s.parent == pid {
			if rss, err := resident(s.pid); err == nil { // others come and go
				u.CPU, u.RSS = u.CPU+s.cpu, u.RSS+rss
			}
		}
	}
	return u, nil
}

// resident returns the bytes that a process is resident with. The second number
// in /proc/PID/statm is exact where that in stat lacks what cores have counted
// and not yet added up, of each up to 128 KiB.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		return 0, fmt.Errorf("malformed /proc/PID/statm: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}

func readStat(path string) (stat, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(b))
}

// parseStat parses the one line of /proc/PID/stat. The name of the program,
// its second field, stands in brackets and may hold anything, brackets too.
func parseStat(line string) (stat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return stat{}, errStat
	}
	fields := strings.Fields(line[end+1:]) // from the third one on
	const parent, user, system = 4 - 3, 14 - 3, 15 - 3
	if len(fields) <= system {
		return stat{}, errStat
	}
	var numbers []int64
	for _, field := range []string{strings.TrimSpace(line[:open]), fields[parent], fields[user], fields[system]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("%w: %w", errStat, err)
		}
		numbers = append(numbers, n)
	}
	return stat{
		pid:    int(numbers[0]),
		parent: int(numbers[1]),
		cpu:    time.Duration(numbers[2]+numbers[3]) * tick,
	}, nil
}
