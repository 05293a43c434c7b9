package web_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"guichet/web/asset"
)

// The look is one sheet that one can read in an afternoon.
func TestSheetStaysSmall(t *testing.T) {
	files, err := filepath.Glob("style/*.css")
	if err != nil || len(files) == 0 {
		t.Fatal("no style", err)
	}
	lines := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(text, []byte("\n"))
	}
	if lines >= 600 {
		t.Errorf("the style has %d lines, 599 at most", lines)
	}
}

// A first visit loads 100 KB at most, all in all.
func TestFirstLoad(t *testing.T) {
	set, err := asset.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	if n := set.FirstLoad(); n > 100<<10 {
		t.Errorf("a first visit loads %d bytes", n)
	}
}

// Text is readable on everything it stands on, in both themes; the edge of a
// field is seen.
func TestContrast(t *testing.T) {
	light, dark := palette(t)
	for theme, colours := range map[string]map[string]rgb{"light": light, "dark": dark} {
		check := func(fore, back string, least float64) {
			f, ok := colours[fore]
			b, also := colours[back]
			if !ok || !also {
				t.Fatalf("no colour %s or %s", fore, back)
			}
			if c := contrast(f, b); c < least {
				t.Errorf("%s: %s on %s has %.2f, want %.1f", theme, fore, back, c, least)
			}
		}
		for _, fore := range []string{"ink", "soft", "accent", "accent-hover", "good", "waiting", "warning", "stopped"} {
			for _, back := range []string{"paper", "card", "rail", "hover"} {
				check(fore, back, 4.5)
			}
		}
		for _, meaning := range []string{"good", "waiting", "warning", "stopped", "accent"} {
			check(meaning, meaning+"-tint", 4.5)
			check("ink", meaning+"-tint", 4.5)
		}
		check("on-accent", "accent", 4.5)
		check("on-accent", "accent-hover", 4.5)
		check("card", "stopped", 4.5) // the last button before something irreversible
		check("edge", "card", 3)
		check("edge", "paper", 3)
	}
}

type rgb [3]float64

var pair = regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);`)

func palette(t *testing.T) (light, dark map[string]rgb) {
	t.Helper()
	text, err := os.ReadFile("style/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark = map[string]rgb{}, map[string]rgb{}
	for _, m := range pair.FindAllStringSubmatch(string(text), -1) {
		light[m[1]], dark[m[1]] = parse(t, m[2]), parse(t, m[3])
	}
	if len(light) < 15 {
		t.Fatalf("only %d colours were found", len(light))
	}
	return light, dark
}

func parse(t *testing.T, s string) (c rgb) {
	t.Helper()
	for i := range 3 {
		n, err := strconv.ParseUint(s[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", s, err))
		}
		c[i] = float64(n) / 255
	}
	return c
}

// contrast is the ratio of WCAG 2.2.
func contrast(a, b rgb) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + .05) / (min(x, y) + .05)
}

func luminance(c rgb) float64 {
	var l float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		v := c[i]
		if v <= .04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+.055)/1.055, 2.4)
		}
		l += weight * v
	}
	return l
}
