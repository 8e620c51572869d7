//! The encoders. Each takes a value and hands its forms over, one or several.

pub(crate) mod binary;
pub(crate) mod quote;
pub(crate) mod web;

use crate::wiped::Wiped;

/// Where an encoder puts its forms.
pub(crate) type Forms<'a> = dyn FnMut(Wiped) + 'a;

/// Enough for most encodings; a buffer that has to grow is wiped too.
const GROWTH: usize = 6;

/// A form that is made by treating one byte after the other.
fn bytewise(value: &[u8], mut byte: impl FnMut(u8, &mut Wiped)) -> Wiped {
    let mut form = Wiped::with_capacity(GROWTH * value.len());
    value.iter().for_each(|b| byte(*b, &mut form));
    form
}

/// One character, or one byte that is part of none.
#[derive(Clone, Copy)]
enum Unit {
    Char(char),
    Byte(u8),
}

/// A form that is made by treating one character after the other.
fn charwise(value: &[u8], mut unit: impl FnMut(Unit, &mut Wiped)) -> Wiped {
    let mut form = Wiped::with_capacity(GROWTH * value.len());
    for chunk in value.utf8_chunks() {
        chunk.valid().chars().for_each(|c| unit(Unit::Char(c), &mut form));
        chunk.invalid().iter().for_each(|b| unit(Unit::Byte(*b), &mut form));
    }
    form
}

fn push_char(form: &mut Wiped, c: char) {
    form.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Case of hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
}

const CASES: [Case; 2] = [Case::Lower, Case::Upper];

/// The lowest `digits` hexadecimal digits of a number.
fn push_hex(form: &mut Wiped, number: u32, digits: u32, case: Case) {
    for place in (0..digits).rev() {
        let digit = char::from_digit(number >> (4 * place) & 0xf, 16).unwrap_or('0');
        form.push(match case {
            Case::Lower => digit as u8,
            Case::Upper => digit.to_ascii_uppercase() as u8,
        });
    }
}

/// A number in decimal.
fn push_decimal(form: &mut Wiped, number: u32) {
    if number > 9 {
        push_decimal(form, number / 10);
    }
    form.push(b'0' + (number % 10) as u8);
}
