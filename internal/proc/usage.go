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

// tick is the unit of CPU times in /proc (USER_HZ), which is the same on all
// architectures that Go supports on Linux.
const tick = time.Second / 100

var errStat = errors.New("malformed /proc/PID/stat")

// A Usage is what a process and its children have used so far.
type Usage struct {
	CPU time.Duration // user and system, in steps of 10 ms
	RSS int64         // resident bytes; shared pages count for each process
}

// A stat holds the fields that are needed of /proc/PID/stat (proc_pid_stat(5)).
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
			if rss, err := resident(s.pid); err == nil { // else it has ended
				u.CPU, u.RSS = u.CPU+s.cpu, u.RSS+rss
			}
		}
	}
	return u, nil
}

// resident returns a process's resident bytes, from /proc/PID/statm: the number
// in stat lacks up to 128 KiB per core, which are counted but not yet added up.
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

// parseStat parses /proc/PID/stat. The program's name, its second field, is in
// parentheses and may contain any bytes, parentheses too.
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
