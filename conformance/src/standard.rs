//! The rules of the standards: `requirements.txt`.

/// The file.
const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// All rules, by chapter, and the revision that they were read from.
pub(crate) struct Standard {
    pub(crate) revision: String,
    pub(crate) chapters: Vec<Chapter>,
}

/// The rules of one document.
pub(crate) struct Chapter {
    pub(crate) name: String,
    pub(crate) document: String,
    pub(crate) status: String,
    pub(crate) requirements: Vec<Requirement>,
}

/// One rule.
pub(crate) struct Requirement {
    pub(crate) id: String,
    pub(crate) strength: String,
    pub(crate) section: String,
    pub(crate) roles: String,
    pub(crate) what: String,
}

impl Requirement {
    /// Returns whether it must be kept: in brackets too, where the key word is ours and the force the standard's.
    pub(crate) fn is_must(&self) -> bool {
        self.strength.trim_start_matches('(').starts_with("MUST")
    }
}

impl Standard {
    /// Reads the rules.
    pub(crate) fn read() -> Result<Self, String> {
        Self::parse(REQUIREMENTS)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut standard = Self {
            revision: String::new(),
            chapters: Vec::new(),
        };
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            standard.take(line).ok_or_else(|| format!("requirements.txt: cannot be read: {line}"))?;
        }
        match standard.revision.is_empty() {
            true => Err("requirements.txt: no revision".to_owned()),
            false => Ok(standard),
        }
    }

    fn take(&mut self, line: &str) -> Option<()> {
        if let Some(revision) = line.strip_prefix("revision ") {
            self.revision = revision.to_owned();
        } else if let Some(title) = line.strip_prefix("= ") {
            let [name, document, status] = fields(title)?;
            self.chapters.push(Chapter {
                name,
                document,
                status,
                requirements: Vec::new(),
            });
        } else {
            let [id, strength, section, roles, what] = fields(line)?;
            if self.contains(&id) {
                return None;
            }
            self.chapters.last_mut()?.requirements.push(Requirement {
                id,
                strength,
                section,
                roles,
                what,
            });
        }
        Some(())
    }

    /// Returns whether there is such a rule.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.requirements().any(|requirement| requirement.id == id)
    }

    /// Returns all rules, in their order.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.chapters.iter().flat_map(|chapter| &chapter.requirements)
    }
}

/// Splits a line into exactly so many fields, none of them empty.
pub(crate) fn fields<const N: usize>(line: &str) -> Option<[String; N]> {
    let fields: Vec<String> = line.split(" | ").map(|field| field.trim().to_owned()).collect();
    let fields: [String; N] = fields.try_into().ok()?;
    fields.iter().all(|field| !field.is_empty()).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_whole() {
        let standard = Standard::read().unwrap();
        assert_eq!(standard.requirements().count(), 188);
        let musts: Vec<&str> = standard.requirements().filter(|rule| rule.is_must()).map(|rule| rule.id.as_str()).collect();
        assert!(musts.contains(&"ID-01") && musts.contains(&"ID-10") && !musts.contains(&"ID-13") && !musts.contains(&"ID-16"));
    }

    #[test]
    fn a_line_that_says_too_little_or_comes_twice_is_refused() {
        let head = "revision 1\n= Name | File | stable\n";
        let line = "ID-01 | MUST | 2 | I | what\n";
        assert!(Standard::parse(&format!("{head}{line}")).is_ok());
        for text in [
            line.to_owned(),
            format!("{head}{line}{line}"),
            format!("{head}ID-01 | MUST | 2 | I\n"),
            format!("{head}ID-01 | MUST | 2 |  | what\n"),
        ] {
            assert!(Standard::parse(&text).is_err(), "{text}");
        }
    }
}
