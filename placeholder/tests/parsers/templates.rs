//! Random documents with `§` where a placeholder comes.

use crate::values::Random;

/// Makes a document of one format.
pub type Make = fn(&mut Random) -> String;

fn lines(random: &mut Random, most: usize, of: &[&str]) -> String {
    let count = 1 + random.below(most);
    (0..count).map(|_| random.pick(of)).collect()
}

/// Gives every key a number of its own, so that none comes twice.
fn numbered(text: &str) -> String {
    let mut parts = text.split('¤');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.enumerate().fold(first, |text, (n, part)| format!("{text}k{n}{part}"))
}

pub fn json(random: &mut Random) -> String {
    let item = |random: &mut Random| {
        random
            .pick(&[
                "§",
                " § ",
                "\"§\"",
                "\"a§b\"",
                "\"§§\"",
                "\"\\\"§\\\\\"",
                "\"https://u:§@h/\\u0041§\"",
                "[§, \"§\"]",
                "{\"in\": §}",
                "{\"x\\\"y\": \"§\"}",
                "1",
                "\"'\"",
                "[\n  §\n]",
                "null",
            ])
            .to_owned()
    };
    let count = 1 + random.below(4);
    let items: Vec<String> = (0..count).map(|n| format!("\"k{n}\": {}", item(random))).collect();
    format!("{{{}}}\n", items.join(random.pick(&[", ", ",\n", "\r\n,\t"])))
}

pub fn yaml(random: &mut Random) -> String {
    if random.one_in(6) {
        // No tab may begin a token in PyYAML.
        return json(random).replace('\t', " ");
    }
    let text = lines(
        random,
        6,
        &[
            "¤: §\n",
            "¤: § # comment '\n",
            "¤: \"§\"\n",
            "¤: '§'\n",
            "¤: \"a § b\"\r\n",
            "¤: 'it''s §'\n",
            "¤: \"\\\"§\\\\\"\n",
            "¤: \"two\n  § lines §\n  long\"\n",
            "¤: Bearer §\n",
            "¤: https://user:§@host/§?x=1#frag\n",
            "¤: prefix-§-suffix\n",
            "¤:\n  - §\n  - 'a' # it's\n  - \"§\"\n",
            "¤:\n- §\n- - §\n  - inner: §\n",
            "¤: |\n  block § text\n   'quote\n\n  §\n",
            "¤: >-\n    folded §\n    # no comment\n    more\n",
            "¤: |2\n  kept §\n",
            "¤: it's plain\n",
            "¤: plain 'text\n  over \"lines\n  and more\n",
            "¤: [a, §, 'b', \"§\", {x: §}, c d, [§]]\n",
            "¤: {a: §, \"b\": '§', c: [§,\n    §], 'd': x§}\n",
            "¤: {\"a\":§}\n",
            "¤:\n  ¤: §\n  ¤:\n    ¤: \"§\"\n",
            "¤: !!str §\n",
            "¤: &a¤ §\n",
            "? \n",
            "# don't \"read\" this\n",
            "\n",
            "¤:\n",
            "¤: |\n\n   deep\n\n  # comment?\n",
            "¤:\n    - name: §\n      value: |-\n        x: \"§\n    - name: '§'\n",
        ],
    );
    // `? ` is here to see that the lexer gives up on it, which is no mistake.
    numbered(&text.replace("? \n", if random.one_in(20) { "---\n" } else { "" }))
}

pub fn toml(random: &mut Random) -> String {
    numbered(&lines(
        random,
        6,
        &[
            "¤ = §\n",
            "¤ = § # comment '\"\n",
            "¤ = \"§\"\n",
            "¤ = '§'\n",
            "¤ = \"a\\\"§\\\\\"\n",
            "¤ = \"\"\"§\"\"\"\n",
            "¤ = \"\"\"\n§ \"quoted\" §\\\n   §\n\"\"\"\"\n",
            "¤ = '''§'''\n",
            "¤ = '''\nit's §\n'''\n",
            "¤ = [§, '§', \"§\", [§], 1]\n",
            "¤ = [\n  §,\n  \"x\", # it's\n  '§',\n]\n",
            "¤ = { a = §, b = '§', \"c d\" = \"§\" }\n",
            "¤.\"x y\" = §\r\n",
            "# don't\n",
            "\n",
            "[¤]\n",
            "[¤.'q\"r'] # \"\n",
            "[[¤]]\n",
            "¤ = 2001-12-14\n",
            "¤ = 'a\\'\n",
        ],
    ))
}

pub fn dotenv(random: &mut Random) -> String {
    let mut text = String::new();
    for name in ["A", "B", "C"] {
        let value = random.pick(&[
            "§",
            "§",
            "'§'",
            "\"§\"",
            "§ # comment",
            "pre§",
            "https://user:§@host/",
            "'a § b'",
            "\"a § b\"",
            "\"it's §\"",
            "'say \"§\"'",
            "§/§",
            "1",
            "'line\nline § '",
            "",
        ]);
        text += random.pick(&["", "", "# it's a \"comment\n", "\n"]);
        text += random.pick(&["", "", "export "]);
        text += &format!("{name}={value}{}", random.pick(&["\n", "\n", " \n"]));
    }
    text
}

pub fn ini(random: &mut Random) -> String {
    let body = numbered(&lines(
        random,
        6,
        &[
            "¤ = §\n",
            "¤=§\n",
            "¤: §\r\n",
            "¤ = postgres://user:§@host/§\n",
            "¤ = \"§\"\n",
            "¤ = a § b\n",
            "¤ =\n  §\n  x = §\n",
            "# it's\n",
            "; \"\n",
            "\n",
            "¤ = plain\n",
        ],
    ));
    format!("[main]\n{body}[other]\nx = §\n")
}

pub fn xml(random: &mut Random) -> String {
    let body = lines(
        random,
        5,
        &[
            "<a>§</a>",
            "<a> § </a>\n",
            "<a x=\"§\" y='§'/>",
            "<a x=\"it's § > &amp;\">§&lt;§</a>",
            "<!-- it's \"a\" <comment> -->",
            "<![CDATA[ <a x=\" ]]>",
            "<?pi it's?>",
            "<b\n  x = '\"§'\n>text <c/> §</b>",
        ],
    );
    let start =
        random.pick(&["", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n", "<!DOCTYPE r>\n"]);
    format!("{start}<r>{body}</r>\n")
}

pub fn netrc(random: &mut Random) -> String {
    let mut text = String::new();
    for (n, _) in (0..=random.below(3)).enumerate() {
        text += &random
            .pick(&[
                "machine h¤ login me password §\n",
                "machine h¤\n\tlogin §\n\tpassword §\n",
                "# machine 'x' login\nmachine h¤ login a§ password p§q\n",
            ])
            .replace('¤', &n.to_string());
    }
    text
}

pub fn pgpass(random: &mut Random) -> String {
    let mut text = String::new();
    for (database, user) in [("app", "me"), ("other", "you"), ("*", "nobody")] {
        text += random.pick(&["", "", "# a:b:c:d:§e\n", "\n"]).replace('§', "").as_str();
        text +=
            &format!("*:*:{database}:{user}:{}\n", random.pick(&["§", "a\\:§", "§\\\\b", "§§"]));
    }
    text
}

pub fn properties(random: &mut Random) -> String {
    numbered(&lines(
        random,
        6,
        &[
            "¤=§\n",
            "¤ = §\n",
            "¤: § \r\n",
            "¤ §\n",
            "¤=a§b\n",
            "¤=a \\\n   §\n",
            "\\ ¤\\==\\u0041§\n",
            "# comment \\\n",
            "  ! it's\n",
            "\n",
            "¤\n",
            "¤=x\\\\\n",
        ],
    ))
}

pub fn shell(random: &mut Random) -> String {
    let noise = random.pick(&[
        "",
        "",
        "# it's \"a\" $(comment\n",
        "X=$(printf '%s' \"it's\" '\"' ) # '\n",
        "X=${Y:-\"a b\"}; X=\"${Y#'}\" # '}\n",
        "X=$((1 + (2 << 3)))\n",
        "X=`printf 'x'`\n",
        "case a in (a) X=1 ;; b) X=2;; esac\n",
        "IFS= read -r X <<'EOF'\nit's \"a $(line\nEOF\n",
        "IFS= read -r X <<-EOF\n\tit's ${X} \\$ \\` $(printf x)\n\tEOF\n",
        "X=a\\'b\\\"c\\\\\n",
        "X=\"a\\\"b\\\\\"\n",
        "f() { X='('; }\n",
        "X=\"$(printf '%s' \"$(printf ')')\")\"\n",
        "X=a#b'c'\n",
        "X='a\n# b\n'\n",
    ]);
    let noise = noise.replace("\"${Y#'}\" # '}", "\"${Y#x}\"");
    let main = random.pick(&[
        "V=§",
        "V='§'",
        "V=\"§\"",
        "V=pre§post",
        "V='pre § post'",
        "V=\"pre § post\"",
        "V='a'§\"b§\"'§'",
        "V=§ # it's",
        "set -- a § \"§\" b; V=\"$#:$2:$3\"",
        "V=$(printf '%s.' \"§\")",
        "V=\"$(printf '%s.' '§' §)\"",
        "V=\"${X:-x}§\"",
        "V=${X:-x}§",
        "V=$((1+2))§",
        "V=`printf x`\"§\"",
        "case x in a) ;; x) V=§ ;; esac",
        "g() { V=§; }; g",
        "(V=no); V=§",
        "IFS= read -r V <<'EOF'\n§ \nEOF",
        "IFS= read -r V <<EOF\nx $X § y\nEOF",
        "IFS= read -r V <<-'END'\n\ta-§b\n\tEND",
        "IFS= read -r V <<-\"END\"\n.§\nEND",
        "V=$(IFS= read -r W <<EOF\n\"§\"\nEOF\nprintf '%s' \"$W\")",
        "V=a\\\n§",
        "[ -n § ] && V=\"§\"",
        "for V in § ; do :; done",
    ]);
    format!("unset X Y\n{noise}{main}")
}
