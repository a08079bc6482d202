//! Warnings about classes without images. Such a class counts in the macro means, so it lowers them without a trace.

use super::Images;

/// Class names listed in a warning.
const LISTED: usize = 5;

/// Warnings about the classes that are absent from the training, validation and test split.
pub(super) fn warnings(classes: &[String], splits: [&Images; 3]) -> Vec<String> {
    let absent = splits.map(|images| {
        let counts = images.class_counts(classes.len());
        let absent = counts.iter().enumerate().filter(|(_, count)| **count == 0);
        absent.map(|(class, _)| class).collect::<Vec<usize>>()
    });
    let [train, valid, test] = &absent;
    if train == valid && train == test {
        return warning("the data have", classes, train)
            .into_iter()
            .collect();
    }
    let names = ["training", "validation", "test"].into_iter();
    names
        .zip(&absent)
        .filter_map(|(name, absent)| warning(&format!("the {name} split has"), classes, absent))
        .collect()
}

fn warning(subject: &str, classes: &[String], absent: &[usize]) -> Option<String> {
    let names = absent.iter().filter_map(|class| classes.get(*class));
    let mut list: Vec<String> = names.take(LISTED).map(|name| format!("{name:?}")).collect();
    if absent.len() > LISTED {
        list.push(format!("{} more", absent.len() - LISTED));
    }
    let hint = if absent == [0] {
        "; if the labels begin at 1, subtract 1 from each"
    } else {
        ""
    };
    let (all, present) = (classes.len(), classes.len() - absent.len());
    let word = if absent.len() == 1 {
        "class"
    } else {
        "classes"
    };
    (!absent.is_empty()).then(|| {
        format!(
            "{subject} no image of the {word} {}: its F1 counts as 0, so the macro-F1 is at most {present}/{all}{hint}",
            list.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(labels: &[u16]) -> Images {
        Images::in_memory(vec![0; labels.len()], labels)
    }

    #[test]
    fn labels_from_1_and_classes_absent_from_one_split_are_warned_of() {
        let classes: Vec<String> = (0..8).map(|class| class.to_string()).collect();
        let all = images(&[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(warnings(&classes, [&all, &all, &all]), Vec::<String>::new());
        let from_1 = images(&[1, 2, 3, 4, 5, 6, 7]);
        let found = warnings(&classes, [&from_1, &from_1, &from_1]);
        let [one] = found.as_slice() else {
            panic!("{found:?}")
        };
        for words in [r#"class "0""#, "at most 7/8", "labels begin at 1"] {
            assert!(one.contains(words), "{one}");
        }
        let few = images(&[7]);
        let found = warnings(&classes, [&all, &few, &from_1]);
        let [valid, test] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert!(valid.starts_with("the validation split"), "{valid}");
        assert!(
            valid.contains(r#""0", "1", "2", "3", "4", 2 more"#),
            "{valid}"
        );
        assert!(valid.contains("at most 1/8"), "{valid}");
        assert!(test.starts_with("the test split"), "{test}");
    }
}
