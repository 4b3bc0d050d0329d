//! Expressions as texts: `x * sigmoid(x)`, `if(x < 0, 0.1 * x, x)`.
//!
//! Arguments are `x` (or `x0`), `x1`, `x2` …; operators `+ - * / ^` with whole exponents; `if(a < b, yes, no)` with
//! `<`, `<=`, `>`, `>=`, `==`; `min(a, b)`, `max(a, b)`, `erf(x)`, and the functions that [`Unary`] names. Whoever parses may add names.

use std::fmt;

use super::{Binary, Compare, Expr, ExprNode, Number, StepValue, Unary};

/// Expands a name with arguments in parentheses, if the caller knows the name. An error says what is wrong with
/// the arguments.
pub type CallResolver<'a> = &'a dyn Fn(&str, &[Expr]) -> Option<Result<Expr, String>>;

/// Returns what a name without parentheses stands for; `None` if the caller does not know the name.
pub type NameResolver<'a> = &'a dyn Fn(&str) -> Option<Expr>;

/// Longest text: enough for an expression of [`MOST_SIZE`], however it is written.
const MOST_BYTES: usize = 1 << 16;
/// Largest expression, activations written out: small enough for every thread's stack, and for what is done part by part.
const MOST_SIZE: u32 = 1000;
/// Deepest nesting.
const MOST_DEPTH: usize = 64;
/// Arguments: `x0` … `x7`.
const MOST_INPUTS: u8 = 8;
/// Largest exponent.
const MOST_POWER: f64 = 16.0;

/// Reads a text.
///
/// # Errors
/// With what was expected and where, counted in characters from 1.
pub fn parse(text: &str, call: CallResolver<'_>) -> Result<Expr, String> {
    let input = |name: &str| {
        let digits = if name == "x" { "0" } else { name.strip_prefix('x')? };
        let index = digits.parse().ok().filter(|index| *index < MOST_INPUTS)?;
        Some(Expr::input(index))
    };
    parse_with_names(text, ("x", &input), call)
}

/// Reads a text whose arguments have other names, which errors list.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_names(
    text: &str,
    (known, names): (&str, NameResolver<'_>),
    call: CallResolver<'_>,
) -> Result<Expr, String> {
    if text.len() > MOST_BYTES {
        return Err(format!("{} bytes, but an expression has at most {MOST_BYTES}", text.len()));
    }
    let mut parser = Parser { text, at: 0, depth: 0, known, names, call };
    let expr = parser.sum()?;
    parser.skip_blanks();
    if parser.at < text.len() {
        return Err(parser.expected("an operator or the end"));
    }
    Ok(expr)
}

struct Parser<'a> {
    text: &'a str,
    /// Byte, always between characters.
    at: usize,
    depth: usize,
    /// Names of the arguments, for errors.
    known: &'a str,
    names: NameResolver<'a>,
    call: CallResolver<'a>,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn expected(&self, what: &str) -> String {
        let place = self.text[..self.at].chars().count() + 1;
        match self.rest().chars().next() {
            Some(found) => format!("expected {what} at character {place}, but found '{found}'"),
            None => format!("expected {what} at its end"),
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let there = self.rest().starts_with(token);
        self.at += if there { token.len() } else { 0 };
        there
    }

    fn need(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(self.expected(&format!("'{token}'"))) }
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(format!("nested more than {MOST_DEPTH} deep"));
        }
        let done = read(self);
        self.depth -= 1;
        done
    }

    fn sum(&mut self) -> Result<Expr, String> {
        let mut left = self.product()?;
        loop {
            left = if self.take("+") {
                left + self.product()?
            } else if self.take("-") {
                left - self.product()?
            } else {
                return Ok(left);
            };
            left = small(left)?;
        }
    }

    fn product(&mut self) -> Result<Expr, String> {
        let mut left = self.signed()?;
        loop {
            left = if self.take("*") {
                left * self.signed()?
            } else if self.take("/") {
                left / self.signed()?
            } else {
                return Ok(left);
            };
            left = small(left)?;
        }
    }

    fn signed(&mut self) -> Result<Expr, String> {
        if self.take("-") { self.deeper(|parser| Ok(-parser.signed()?)) } else { self.power() }
    }

    fn power(&mut self) -> Result<Expr, String> {
        let base = self.atom()?;
        if !self.take("^") {
            return Ok(base);
        }
        let exponent = self.deeper(Self::signed)?;
        match exponent.number().filter(|n| n.fract() == 0.0 && n.abs() <= MOST_POWER) {
            Some(exponent) => {
                let mut power = Expr::constant(1.0);
                let mut left = exponent.abs();
                while left > 0.0 {
                    power = small(power * &base)?;
                    left -= 1.0;
                }
                Ok(if exponent < 0.0 { 1.0 / power } else { power })
            }
            None => Err(format!(
                "an exponent must be a whole number from -{MOST_POWER} to {MOST_POWER}; for others write exp(b * ln(a))"
            )),
        }
    }

    fn atom(&mut self) -> Result<Expr, String> {
        if self.take("(") {
            let inner = self.deeper(Self::sum)?;
            self.need(")")?;
            return Ok(inner);
        }
        let first = self.rest().chars().next();
        match first {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() => self.name(),
            _ => Err(self.expected("a number, a name or '('")),
        }
    }

    fn number(&mut self) -> Result<Expr, String> {
        let rest = self.rest().as_bytes();
        let digit = |at: usize| rest.get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'.');
        let mut end = 0;
        while digit(end) {
            end += 1;
        }
        if rest.get(end).is_some_and(|b| b.eq_ignore_ascii_case(&b'e')) {
            let sign = usize::from(rest.get(end + 1).is_some_and(|b| matches!(b, b'-' | b'+')));
            if digit(end + 1 + sign) {
                end += 1 + sign;
                while digit(end) {
                    end += 1;
                }
            }
        }
        let text = &self.rest()[..end];
        let value: Option<f64> = text.parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| self.expected("a number"))?;
        self.at += end;
        Ok(Expr::constant(value))
    }

    fn name(&mut self) -> Result<Expr, String> {
        let rest = self.rest();
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = rest[..end].to_string();
        let place = self.at;
        self.at += end;
        if !self.take("(") {
            return match (name.as_str(), (self.names)(&name)) {
                ("pi", _) => Ok(Expr::constant(std::f64::consts::PI)),
                (_, Some(expr)) => Ok(expr),
                _ => {
                    self.at = place;
                    let wanted = format!("{}, a number or a function", self.known);
                    Err(self.expected(&wanted) + &format!(" (\"{name}\")"))
                }
            };
        }
        self.deeper(|parser| if name == "if" { parser.choice() } else { parser.called(&name) })
            .and_then(small)
    }

    fn choice(&mut self) -> Result<Expr, String> {
        let a = self.sum()?;
        let signs = ["<=", ">=", "==", "<", ">"];
        let Some(sign) = signs.into_iter().find(|sign| self.take(sign)) else {
            return Err(self.expected("<, <=, >, >= or =="));
        };
        let b = self.sum()?;
        self.need(",")?;
        let yes = self.sum()?;
        self.need(",")?;
        let no = self.sum()?;
        self.need(")")?;
        Ok(match sign {
            "<" => Expr::select(Compare::Lt, &a, &b, &yes, &no),
            "<=" => Expr::select(Compare::Le, &a, &b, &yes, &no),
            ">" => Expr::select(Compare::Lt, &b, &a, &yes, &no),
            ">=" => Expr::select(Compare::Le, &b, &a, &yes, &no),
            _ => Expr::select(Compare::Eq, &a, &b, &yes, &no),
        })
    }

    fn called(&mut self, name: &str) -> Result<Expr, String> {
        let mut args = Vec::new();
        if !self.take(")") {
            loop {
                args.push(self.sum()?);
                if self.take(")") {
                    break;
                }
                self.need(",")?;
            }
        }
        let unary = Unary::ALL.into_iter().find(|function| function.name() == name);
        match (name, unary, &args[..]) {
            (_, Some(function), [x]) => Ok(x.unary(function)),
            ("min", _, [a, b]) => Ok(a.min(b)),
            ("max", _, [a, b]) => Ok(a.max(b)),
            ("log", _, [x]) => Ok(x.ln()),
            // erf x = 2 Φ(√2 x) − 1
            ("erf", _, [x]) => Ok(2.0 * (x * std::f64::consts::SQRT_2).normal_cdf() - 1.0),
            ("min" | "max", _, _) => Err(format!("{name} takes 2 arguments, not {}", args.len())),
            ("log" | "erf", _, _) | (_, Some(_), _) => {
                Err(format!("{name} takes 1 argument, not {}", args.len()))
            }
            _ => (self.call)(name, &args).unwrap_or_else(|| {
                let known: Vec<_> = Unary::ALL.iter().map(|f| f.name()).collect();
                Err(format!(
                    "unknown function \"{name}\"; known: {}, log, erf, min, max, if",
                    known.join(", ")
                ))
            }),
        }
    }
}

/// Refuses what has become too large.
fn small(expr: Expr) -> Result<Expr, String> {
    if expr.size() <= MOST_SIZE {
        return Ok(expr);
    }
    Err(format!(
        "more than {MOST_SIZE} operations, numbers and arguments, with powers and activations written out; make it shorter"
    ))
}

/// How tightly an operation binds: a part that binds less stands in parentheses.
fn tightness(node: &ExprNode) -> u8 {
    match node {
        ExprNode::Binary(Binary::Add | Binary::Sub, ..) => 1,
        ExprNode::Binary(Binary::Mul | Binary::Div, ..) => 2,
        ExprNode::Unary(Unary::Neg, _) => 3,
        ExprNode::Const(Number(value)) if value.is_sign_negative() => 3,
        _ => 4,
    }
}

/// Returns whether a number has many zeros before or behind its point.
fn is_far(value: f64) -> bool {
    value != 0.0 && value.is_finite() && !(1e-9..1e16).contains(&value.abs())
}

impl Expr {
    /// Returns the expression's text with other names for its arguments, which have to be as many.
    pub fn text_with(&self, names: &[&str]) -> String {
        let mut text = String::new();
        self.write(&mut text, names, 0).expect("a text takes all that is written");
        text
    }

    /// Writes the expression, in parentheses if it binds less tightly than `least`.
    fn write(&self, f: &mut dyn fmt::Write, names: &[&str], least: u8) -> fmt::Result {
        let tight = tightness(self.node());
        if tight < least {
            f.write_str("(")?;
        }
        match self.node() {
            // Written with an exponent, since all its digits would be too many.
            ExprNode::Const(Number(value)) if is_far(*value) => write!(f, "{value:e}")?,
            ExprNode::Const(Number(value)) => write!(f, "{value}")?,
            ExprNode::Input(index) => match names.get(usize::from(*index)) {
                Some(name) => f.write_str(name)?,
                None if *index == 0 => f.write_str("x")?,
                None => write!(f, "x{index}")?,
            },
            ExprNode::Quantity(StepValue::Rows) => f.write_str("rows")?,
            ExprNode::Quantity(StepValue::Counts) => f.write_str("counts")?,
            ExprNode::Quantity(StepValue::Keep(stream, Number(rate))) => {
                write!(f, "keep{stream}({rate})")?;
            }
            ExprNode::Quantity(StepValue::Scalar(index)) => write!(f, "s{index}")?,
            ExprNode::Quantity(StepValue::Loss(index)) => write!(f, "loss{index}")?,
            ExprNode::Unary(Unary::Neg, x) => {
                f.write_str("-")?;
                x.write(f, names, 3)?;
            }
            ExprNode::Unary(function, x) => {
                write!(f, "{}(", function.name())?;
                x.write(f, names, 0)?;
                f.write_str(")")?;
            }
            ExprNode::Binary(Binary::Min | Binary::Max, a, b) => {
                let smaller = matches!(self.node(), ExprNode::Binary(Binary::Min, ..));
                f.write_str(if smaller { "min(" } else { "max(" })?;
                a.write(f, names, 0)?;
                f.write_str(", ")?;
                b.write(f, names, 0)?;
                f.write_str(")")?;
            }
            ExprNode::Binary(function, a, b) => {
                let sign = match function {
                    Binary::Add => " + ",
                    Binary::Sub => " - ",
                    Binary::Mul => " * ",
                    _ => " / ",
                };
                a.write(f, names, tight)?;
                f.write_str(sign)?;
                // Operations are read from the left, and rounding depends on their order.
                b.write(f, names, tight + 1)?;
            }
            ExprNode::Select(compare, [a, b, yes, no]) => {
                let sign = match compare {
                    Compare::Lt => "<",
                    Compare::Le => "<=",
                    Compare::Eq => "==",
                };
                f.write_str("if(")?;
                a.write(f, names, 0)?;
                write!(f, " {sign} ")?;
                b.write(f, names, 0)?;
                f.write_str(", ")?;
                yes.write(f, names, 0)?;
                f.write_str(", ")?;
                no.write(f, names, 0)?;
                f.write_str(")")?;
            }
        }
        if tight < least { f.write_str(")") } else { Ok(()) }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &[], 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Expr, String> {
        parse(text, &|_, _| None)
    }

    #[test]
    fn texts_are_read_as_written() {
        let at = |text: &str, x: f64| read(text).unwrap().program().value(&[x, 10.0]);
        assert_eq!(at("1 + 2 * 3 - x", 0.5), 6.5);
        assert_eq!(at("8 / 2 / 2", 0.0), 2.0);
        assert_eq!(at("-x^2", 3.0), -9.0);
        assert_eq!(at("x^-2", 2.0), 0.25);
        assert_eq!(at("(1 + x) * x1", 1.0), 20.0);
        assert_eq!(at("if(x > 0, x, 0.5 * x)", -2.0), -1.0);
        assert_eq!(at("if(x<=2,max(x,1e0),min(x , 3.))", 0.0), 1.0);
        assert!((at("erf(x)", 0.5) - libm::erf(0.5)).abs() < 1e-15);
        assert_eq!(at("log(exp(x)) + pi - pi", 2.0), 2.0);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "x * sigmoid(x)",
            "x - (x1 - 2)",
            "x / (x1 * 3)",
            "if(x < 0, 0.1 * x, x)",
            "-(x + 1) * -2",
            "max(x, min(x1, 0)) - exp(-x)",
            "if(x == 0.5, 1, tanh(x) / 1e-7)",
            "1e300 * x - 4e-320 / (x + 12345678901234567890)",
        ] {
            let expr = read(text).unwrap();
            assert_eq!(read(&expr.to_string()).unwrap(), expr, "{text}: {expr}");
        }
    }

    #[test]
    fn wrong_texts_say_where() {
        for (text, part) in [
            ("", "at its end"),
            ("x +", "at its end"),
            ("x $ 2", "character 3"),
            ("(x", "expected ')'"),
            ("foo(x)", "unknown function \"foo\""),
            ("y", "\"y\""),
            ("x9", "\"x9\""),
            ("sin(x, 2)", "1 argument, not 2"),
            ("x^0.5", "whole number"),
            ("if(x, 1, 2)", "<, <="),
            ("1e999", "a number"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
        let deep = "(".repeat(1000) + "x" + &")".repeat(1000);
        assert!(read(&deep).unwrap_err().contains("nested"));
        assert!(read(&"-".repeat(3000)).unwrap_err().contains("nested"));
        assert!(read(&"x+".repeat(3000)).unwrap_err().contains("more than 1000 operations"));
        assert!(read(&"x+".repeat(40_000)).unwrap_err().contains("bytes"));
    }

    #[test]
    fn what_would_be_huge_written_out_is_refused() {
        let powers = format!("{}x{}", "(".repeat(60), "^2)".repeat(60));
        let choices = |inner: &str| format!("if(x < 0, {inner}, -({inner}))");
        let choices = (0..9).fold("x ^ 3".to_string(), |inner, _| choices(&inner));
        for text in ["((x^16)^16)^16", &powers, &choices] {
            assert!(read(text).unwrap_err().contains("more than 1000 operations"), "{text}");
        }
        assert!(read("(x^16)^16").is_ok());
    }
}
