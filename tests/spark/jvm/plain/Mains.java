package plain;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/** Classes with main, which know nothing of any job server. */
public class Mains {
    public static void main(String[] args) {
        SparkSession spark = SparkSession.builder().getOrCreate();
        JavaSparkContext sc = new JavaSparkContext(spark.sparkContext());
        List<Integer> numbers = IntStream.range(0, args.length).boxed().collect(Collectors.toList());
        long count = sc.parallelize(numbers, 1).filter(Objects::nonNull).count();
        System.out.println(count + " arguments: " + Arrays.toString(args));
    }

    public static class Failing {
        public static void main(String[] args) {
            throw new IllegalStateException("main broke", new RuntimeException("the cause"));
        }
    }

    public static class Exiting {
        public static void main(String[] args) {
            System.out.println("leaving");
            System.out.flush();
            System.exit(3);
        }
    }

    public static class Nothing {
        private Nothing() {}

        static void main(String[] args) {}
    }

    public static class NeedsMissing {
        public static void main(String[] args) {
            System.out.println(new Missing());
        }
    }

    public static class Missing {}
}
