package simbank

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
)

func captchaForm(v *visit) reply { return v.showCaptcha("") }

func (v *visit) showCaptcha(alert string) reply {
	if r, ok := v.at(stepCaptcha); !ok {
		return r
	}
	if v.session.digits == "" {
		v.session.digits = fmt.Sprintf("%05d", v.site.clock.Intn(100_000))
		v.count(func(c *Counters) { c.CaptchasShown++ })
	}
	return reply{page: "captcha", data: formPage{v.frame("Êtes-vous un humain ?"), v.freshToken(), alert}}
}

func captchaImage(v *visit) reply {
	if r, ok := v.at(stepCaptcha); !ok {
		return r
	}
	digits := v.session.digits
	return reply{png: func() []byte { return drawDigits(digits) }}
}

func tryCaptcha(v *visit) reply {
	if r, ok := v.at(stepCaptcha); !ok {
		return r
	}
	s := v.session
	if !v.spendToken() || s.digits == "" {
		return v.showCaptcha(staleForm)
	}
	right := v.request.PostForm.Get("reponse") == s.digits
	s.digits = "" // whatever was answered, this image is spent
	if right {
		s.factor = true
		return v.pass()
	}
	v.count(func(c *Counters) { c.CaptchasWrong++ })
	s.wrong++
	if s.wrong >= maxWrongCaptchas {
		return v.throwOut(reply{page: "notice", data: notice{
			frame: frame{Title: "Connexion interrompue"}, Text: "Trop de réponses inexactes. Recommencez la connexion.",
			Link: "/login", LinkLabel: "Recommencer",
		}})
	}
	return v.showCaptcha("Les chiffres saisis ne correspondent pas à l’image.")
}

// glyphs are digits of five columns by seven rows, one byte a row.
var glyphs = [10][7]byte{
	{0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e},
	{0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e},
	{0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f},
	{0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e},
	{0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02},
	{0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
	{0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e},
	{0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08},
	{0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e},
	{0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
}

// drawDigits makes the PNG of a captcha: each digit a little higher or lower
// than its neighbour, over a few specks. The same digits give the same image.
func drawDigits(digits string) []byte {
	const scale, width, height = 6, 200, 72
	paper := color.RGBA{0xf4, 0xf1, 0xea, 0xff}
	ink := color.RGBA{0x17, 0x2b, 0x4d, 0xff}
	speck := color.RGBA{0xb9, 0xb2, 0xa3, 0xff}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, paper)
		}
	}
	random := rand.New(rand.NewPCG(hash("captcha", digits), 1))
	for range 400 {
		img.SetRGBA(random.IntN(width), random.IntN(height), speck)
	}
	for i, d := range []byte(digits) {
		if d < '0' || d > '9' {
			continue
		}
		left, top := 10+i*38, 8+random.IntN(16)
		for row, bits := range glyphs[d-'0'] {
			for column := range 5 {
				if bits>>(4-column)&1 == 0 {
					continue
				}
				for dy := range scale - 1 {
					for dx := range scale - 1 {
						img.SetRGBA(left+column*scale+dx, top+row*scale+dy, ink)
					}
				}
			}
		}
	}
	var out bytes.Buffer
	_ = png.Encode(&out, img) // into memory: cannot fail
	return out.Bytes()
}
